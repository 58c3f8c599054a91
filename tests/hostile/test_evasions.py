"""Ways round the projection that use arithmetic: what is judged is what any reader will serve."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from core.errors import AdapterRejected, AlignmentError
from core.policy import Policy
from tests.hostile.arithmetic import (
    DTYPES,
    IN,
    NAME,
    OUT,
    SIGNAL,
    Model,
    conditioning,
    make_model,
    off,
    refused,
    sanitized,
)
from tests.worker.making import GOLDEN, generator, lora, run, save_adapter, save_checkpoint
from worker.__main__ import main
from worker.projection.update import REFACTOR_ABOVE, ROUNDING_LIMIT

KEEP_ALL = Policy.model_validate({"selection": {"threshold": 0.0}})
KEEP_BUT_LARGE = Policy.model_validate(
    {"selection": {"threshold": 0.0}, "caps": {"update_ratio": 1e9}}
)
PROJECT_ALL = Policy.model_validate({"selection": {"mode": "all"}})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return make_model(tmp_path_factory.mktemp("model"))


def cancelling(model: Model, size: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """B = [K·u + x, K·u], A = [a, -a]: the product is x·aᵀ, the factors are K times as large."""
    x = (model.u[:, 0] + 1.5 * model.u[:, SIGNAL]) * 0.1
    big = model.u[:, SIGNAL + 1] * 0.1 * size
    a = model.z[:, 0] * 0.1
    return torch.stack([big + x, big], dim=1).to(dtype), torch.stack([a, -a]).to(dtype)


@pytest.mark.parametrize("policy", [None, KEEP_ALL, PROJECT_ALL], ids=["default", "keep", "all"])
@pytest.mark.parametrize("size", [1e2, 1e4, 1e6])
def test_cancelling_factors_go_out_as_the_product_they_make(
    size: float, policy: Policy | None, model: Model, tmp_path: Path
) -> None:
    """Chosen or not: the exact product was judged, and well-conditioned factors of it go out."""
    b, a = cancelling(model, size, torch.float32)
    product = b.double() @ a.double()
    outcome = sanitized(model, b, a, tmp_path, policy)
    assert outcome.row.refactored
    assert [note.code for note in outcome.notes] == ["refactored"]
    assert outcome.row.cosine == pytest.approx(model.cosine(product), abs=1e-4)
    expected = model.project(product) if outcome.row.projected else product
    assert off(outcome.product, expected) < 1e-4
    assert conditioning(outcome.b, outcome.a) < 2.0
    assert all(off(outcome.product_read_as(dtype), expected) < 0.01 for dtype in DTYPES)


@pytest.mark.parametrize("size", [1e2, 1e4])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=["F16", "BF16"])
def test_cancelling_factors_in_16_bits_are_judged_by_their_exact_product(
    size: float, dtype: torch.dtype, model: Model, tmp_path: Path
) -> None:
    """What rounding left of x in the upload is what is judged and written, in the same dtype."""
    b, a = cancelling(model, size, dtype)
    product = b.double() @ a.double()
    outcome = sanitized(model, b, a, tmp_path, KEEP_ALL)
    if float(product.norm()) == 0.0:
        assert outcome.row.reason == "zero_update"
        assert float(outcome.product.norm()) == 0.0
        return
    assert outcome.row.cosine == pytest.approx(model.cosine(product), abs=1e-4)
    assert off(outcome.product, product) < 0.01
    assert conditioning(outcome.b, outcome.a) < 10.0


@pytest.mark.parametrize("size", [1e10, 1e12, 1e14])
def test_hopelessly_cancelling_factors_are_refused(
    size: float, model: Model, tmp_path: Path
) -> None:
    """B = [K·u, K·u, x], A = [a, -a, c]: not even float64 holds x·cᵀ to the digits that matter."""
    big, a = torch.ones(OUT) * 2.0, model.z[:, 0]
    b = torch.stack([big, big, model.u[:, 0] * 10.0], dim=1)
    factors = torch.stack([a, -a, model.z[:, 1] / size])
    assert 1e8 < conditioning(b, factors) < 1e15
    assert refused(model, b, factors, tmp_path) == [("ill_conditioned", NAME)]


def test_factors_that_cancel_exactly_are_no_update(model: Model, tmp_path: Path) -> None:
    """Their product is zero, so zero factors go out: none that a reader could round apart."""
    big, a = model.u[:, 5] * 1e10, model.z[:, 3]
    outcome = sanitized(
        model, torch.stack([big, big], dim=1), torch.stack([a, -a]), tmp_path, KEEP_ALL
    )
    assert outcome.row.reason == "zero_update"
    assert float(outcome.b.norm()) == float(outcome.a.norm()) == 0.0


def rounding_apart(model: Model) -> tuple[Tensor, Tensor]:
    """Cancels just too little to be refactored for that, and each entry lies where bfloat16
    rounds it towards a pattern that the float32 product does not show."""
    step = 2.0**-7  # bfloat16's between 1 and 2
    wanted = model.u[:, 0] / model.u[:, 0].norm() * OUT**0.5 * 0.0235
    hidden = torch.sign(model.u[:, SIGNAL + 2]) * step * 0.49
    first = torch.round((1.2 + wanted / 2) / step) * step - hidden
    second = torch.round((1.2 - wanted / 2) / step) * step + hidden
    a = model.z[:, 0] * 0.05
    return torch.stack([first, second], dim=1), torch.stack([a, -a])


def test_rounding_to_bfloat16_brings_out_no_other_product(model: Model, tmp_path: Path) -> None:
    """Factors crafted so that their bfloat16 cast makes another product go out without it."""
    b, a = rounding_apart(model)
    product = b.double() @ a.double()
    as_read = b.bfloat16().double() @ a.bfloat16().double()
    assert conditioning(b, a) < REFACTOR_ABOVE
    assert off(as_read, product) > 0.2  # the attack works on the upload
    outcome = sanitized(model, b, a, tmp_path, KEEP_ALL)
    assert off(outcome.product, product) < 1e-4
    assert off(outcome.product_read_as(torch.bfloat16), product) < 0.01


def masked(model: Model) -> tuple[Tensor, Tensor]:
    """A large update along V whose B float16 cannot hold, over a small one that it can."""
    mask_b = model.u[:, 0] / model.u[:, 0].abs().max() * 2.9e-8
    harm_b = torch.sign(model.u[:, SIGNAL + 3]) * 1.2e-7
    mask_a = model.z[:, 0] / model.z[:, 0].abs().max() * 6e4
    harm_a = model.z[:, SIGNAL + 3] / model.z[:, SIGNAL + 3].abs().max() * 2e3
    return torch.stack([mask_b, harm_b], dim=1), torch.stack([mask_a, harm_a])


def test_mask_that_vanishes_in_float16_hides_nothing(model: Model, tmp_path: Path) -> None:
    """An update that scores well only as float32 is not served without its better half."""
    b, a = masked(model)
    product = b.double() @ a.double()
    as_read = b.half().double() @ a.half().double()
    assert model.cosine(product) > 0.9 and model.cosine(as_read) < 0.35
    outcome = sanitized(model, b, a, tmp_path)
    assert not outcome.row.projected
    for dtype in DTYPES:
        assert off(outcome.product_read_as(dtype), product) < 0.01


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["F32", "BF16"])
@pytest.mark.parametrize("shift", [1e-30, 1e-9, 1e9, 1e30])
def test_unbalanced_factors_go_out_balanced(
    shift: float, dtype: torch.dtype, model: Model, tmp_path: Path
) -> None:
    """B tiny and A huge, or the other way round, would overflow or vanish in float16."""
    b = (model.u[:, :2] * 0.1 * shift).to(dtype)
    a = (model.z[:, :2].T * 0.1 / shift).to(dtype)
    product = b.double() @ a.double()
    outcome = sanitized(model, b, a, tmp_path, KEEP_ALL)
    assert outcome.b.dtype == outcome.a.dtype == dtype
    assert all(off(outcome.product_read_as(d), product) < 0.01 for d in DTYPES)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["F32", "BF16"])
@pytest.mark.parametrize("size", [1e3, 1e9, 1e18, 1e30])
def test_columns_of_unequal_size_do_not_drown_each_other(
    size: float, dtype: torch.dtype, model: Model, tmp_path: Path
) -> None:
    """One column large in B, the other in A: the norms multiply to 1e60, the product is ordinary,
    and is neither refused for cancelling nor taken for zero."""
    b = (model.u[:, :2] * 0.1 * torch.tensor([size, 1 / size])).to(dtype)
    a = (model.z[:, :2] * 0.1 * torch.tensor([1 / size, size])).T.to(dtype)
    product = b.double() @ a.double()
    outcome = sanitized(model, b, a, tmp_path, KEEP_ALL)
    assert outcome.row.cosine == pytest.approx(model.cosine(product), abs=1e-4)
    assert all(off(outcome.product_read_as(d), product) < 0.01 for d in DTYPES)


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    scales=st.lists(st.tuples(st.floats(-60, 60), st.floats(-15, 5)), min_size=1, max_size=4),
    shared=st.sampled_from([0.0, 1.0, 30.0, 1e3]),
    dtype=st.sampled_from(DTYPES),
)
def test_every_reader_serves_the_product_that_was_judged(
    model: Model, seed: int, scales: list[tuple[float, float]], shared: float, dtype: torch.dtype
) -> None:
    """Whatever the sizes and the cancelling of columns: in three dtypes the same update, or none
    is published."""
    random = generator(seed)
    rank = len(scales)
    shift, size = torch.tensor(scales).T / (8.0 if dtype == torch.float16 else 1.0)
    b = torch.randn(OUT, rank, generator=random) + shared * torch.randn(OUT, 1, generator=random)
    a = torch.randn(rank, IN, generator=random)
    b, a = (b * 2 ** (size + shift)).to(dtype), (a * 2 ** -shift[:, None]).to(dtype)
    product = b.double() @ a.double()
    assume(1e-6 < float(product.norm()) < 1e6)
    with TemporaryDirectory() as folder:
        try:
            outcome = sanitized(model, b, a, Path(folder), KEEP_BUT_LARGE)
        except AdapterRejected as rejected:
            assert {f.code for f in rejected.findings if f.outcome == "refused"} == {
                "ill_conditioned"
            }
            return
    assert all(off(outcome.product_read_as(d), product) < 0.03 for d in DTYPES)


def test_trained_looking_factors_are_left_alone(model: Model, tmp_path: Path) -> None:
    """Sizes as training leaves them bear 16 bits: every bit goes out as it came."""
    random = generator(4)
    b = torch.randn(OUT, 8, generator=random) * 1e-3
    a = torch.randn(8, IN, generator=random) * 0.1
    outcome = sanitized(model, b, a, tmp_path, KEEP_ALL)
    assert not outcome.row.refactored
    assert torch.equal(outcome.b, b) and torch.equal(outcome.a, a)


def test_zero_update_carries_no_infinities_in_waiting(model: Model, tmp_path: Path) -> None:
    """B = 0 makes no update; an A that overflows in float16 would make 0·∞ = NaN of it."""
    a = torch.full((2, IN), 3e38)
    outcome = sanitized(model, torch.zeros(OUT, 2), a, tmp_path)
    assert outcome.row.reason == "zero_update"
    assert all(bool(torch.isfinite(outcome.product_read_as(d)).all()) for d in DTYPES)


def test_update_where_v_has_no_rows_is_projected_to_nothing(tmp_path: Path) -> None:
    """B only in rows where V is zero: NaN in a naive cosine, which is never below a threshold."""
    random = generator(5)
    base = torch.randn(OUT, IN, generator=random)
    v = torch.randn(OUT, IN, generator=random) * 0.1
    v[OUT // 2 :] = 0.0
    save_checkpoint(tmp_path / "base", {f"{NAME}.weight": base})
    save_checkpoint(tmp_path / "aligned", {f"{NAME}.weight": base + v})
    b = torch.randn(OUT, 2, generator=random) * 0.1
    b[: OUT // 2] = 0.0
    model = Model(tmp_path, v, torch.eye(OUT), torch.eye(IN))
    outcome = sanitized(model, b, torch.randn(2, IN, generator=random) * 0.1, tmp_path)
    assert (outcome.row.cosine, outcome.row.reason) == (0.0, "no_overlap")
    assert outcome.row.projected
    assert float(outcome.product.norm()) == 0.0


@pytest.mark.parametrize("dtype", DTYPES, ids=["F32", "F16", "BF16"])
def test_update_off_every_direction_of_v_is_taken_out(
    dtype: torch.dtype, model: Model, tmp_path: Path
) -> None:
    """Of an update that V does not reach, the projection leaves rounding at most."""
    b, a = (model.u[:, SIGNAL : SIGNAL + 2] * 0.1).to(dtype), (model.z[:, :2].T * 0.1).to(dtype)
    product = b.double() @ a.double()
    outcome = sanitized(model, b, a, tmp_path)
    assert outcome.row.projected
    assert float(outcome.product.norm()) < 0.01 * float(product.norm())


def test_module_that_alignment_did_not_change_is_refused(tmp_path: Path) -> None:
    """V = 0 in one module: there is nothing to project onto, so its update is not let through."""
    random = generator(6)
    other = "model.layers.1.self_attn.q_proj"
    base = {f"{n}.weight": torch.randn(OUT, IN, generator=random) for n in (NAME, other)}
    aligned = {**base, f"{other}.weight": base[f"{other}.weight"] + 0.1}
    save_checkpoint(tmp_path / "base", base)
    save_checkpoint(tmp_path / "aligned", aligned)
    model = Model(tmp_path, torch.zeros(OUT, IN), torch.eye(OUT), torch.eye(IN))
    b, a = torch.ones(OUT, 2) * 0.01, torch.ones(2, IN) * 0.01
    assert refused(model, b, a, tmp_path) == [("no_alignment_signal", NAME)]


def test_identical_pair_fails_the_job_and_not_the_adapter(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A pair without a difference is the operator's mistake: `pair_identical`, exit code 1."""
    weights = {f"{NAME}.weight": torch.randn(OUT, IN, generator=generator(8))}
    save_checkpoint(tmp_path / "base", weights)
    save_checkpoint(tmp_path / "aligned", weights)
    model = Model(tmp_path, torch.zeros(OUT, IN), torch.eye(OUT), torch.eye(IN))
    with pytest.raises(AlignmentError) as error:
        sanitized(model, torch.ones(OUT, 2), torch.ones(2, IN), tmp_path)
    assert error.value.code == "pair_identical"
    folders = ["--base", str(tmp_path / "base"), "--aligned", str(tmp_path / "aligned")]
    output = tmp_path / "offline"
    upload = str(tmp_path / "upload")
    assert main(["sanitize", upload, *folders, "--output", str(output)]) == 1
    assert "pair_identical" in capsys.readouterr().err
    assert not output.exists()


@pytest.mark.parametrize("size", [1.0, 1e10, 1e30])
def test_huge_update_is_refused(size: float, model: Model, tmp_path: Path) -> None:
    """However well it is aligned: larger than the weight it is added to, it is not let in."""
    b, a = model.u[:, :2] * 100.0 * size, model.z[:, :2].T
    assert refused(model, b, a, tmp_path) == [("update_ratio_over_cap", NAME)]


def test_projected_update_below_float16_is_widened(model: Model, tmp_path: Path) -> None:
    """Where the projection leaves too little for float16, float32 holds it to 1 %."""
    random = generator(12)
    b = (model.u[:, SIGNAL : SIGNAL + 2] * 2e-3 + model.u[:, :2] * 1e-6).half()
    a = (torch.randn(2, IN, generator=random) * 1e-2).half()
    outcome = sanitized(model, b, a, tmp_path)
    assert outcome.row.projected and outcome.row.widened
    assert outcome.b.dtype == torch.float32
    expected = model.project(b.double() @ a.double())
    assert off(outcome.b.half().double() @ outcome.a.double(), expected) > 0.01
    assert off(outcome.product, expected) < 0.01


def test_update_is_no_larger_for_readers_without_patterns(tmp_path: Path) -> None:
    """vLLM reads `r` and `lora_alpha` alone: what it would serve is held to the cap too."""
    random = generator(13)
    names = [f"model.layers.{index}.self_attn.q_proj" for index in range(3)]
    base = {f"{n}.weight": torch.randn(OUT, IN, generator=random) for n in names}
    aligned = {k: w + torch.randn(OUT, IN, generator=random) * 0.1 for k, w in base.items()}
    save_checkpoint(tmp_path / "base", base)
    save_checkpoint(tmp_path / "aligned", aligned)
    tensors = lora(dict.fromkeys(names, (OUT, IN)))
    for key in tensors:
        if names[0] not in key and "lora_B" in key:
            tensors[key] *= 1e-6  # decoys: their alpha is the commonest, so it becomes lora_alpha
    adapter = save_adapter(
        tmp_path / "upload", tensors, lora_alpha=1e5, alpha_pattern={f"^{names[0]}": 2}
    )
    with pytest.raises(AdapterRejected) as caught:
        run(adapter, tmp_path / "base", tmp_path / "aligned", tmp_path / "out", KEEP_ALL)
    found = [(f.code, f.subject) for f in caught.value.findings if f.outcome == "refused"]
    assert found == [("update_ratio_over_cap", names[0])]


def test_limits_leave_room_between_attack_and_training() -> None:
    """What 16 bits may cost before factors are made anew is near what bfloat16 costs anyone."""
    assert 2.0**-8 < ROUNDING_LIMIT < 0.05


def test_another_spelling_of_a_module_escapes_no_family_cut(tmp_path: Path) -> None:
    """Without its `model.` prefix a module is still held to the cut of its family's full name."""
    families = {f"model.layers.{n}.self_attn.q_proj": 1.0 for n in range(11)}
    policy = Policy.model_validate({"selection": {"threshold": 0.0, "families": families}})
    original = load_file(GOLDEN / "adapter" / "adapter_model.safetensors")
    shorter = {
        k.replace("base_model.model.model.", "base_model.model."): v for k, v in original.items()
    }
    upload = save_adapter(tmp_path / "upload", shorter, r=4, lora_alpha=8)
    report = run(upload, GOLDEN / "base", GOLDEN / "aligned", tmp_path / "out", policy)
    projected = {row.name for row in report.modules if row.projected}
    assert projected == {f"layers.{n}.self_attn.q_proj" for n in range(11)}


def test_an_update_too_small_for_float32_is_refused(tmp_path: Path) -> None:
    """Subnormal factors make no update that can be judged or written: that is a finding."""
    original = load_file(GOLDEN / "adapter" / "adapter_model.safetensors")
    tiny = {key: tensor * 1e-40 for key, tensor in original.items()}
    upload = save_adapter(tmp_path / "upload", tiny, r=4, lora_alpha=8)
    with pytest.raises(AdapterRejected) as caught:
        run(upload, GOLDEN / "base", GOLDEN / "aligned", tmp_path / "out")
    assert {f.code for f in caught.value.findings} == {"ill_conditioned"}


def test_a_projection_too_small_for_float32_is_still_written(tmp_path: Path) -> None:
    """Where V is minute the factors share the product between them, and it is the right one."""
    weights = {"model.layers.0.self_attn.q_proj.weight": torch.eye(8)}
    moved = {k: w + torch.eye(8) * 2.0**-20 for k, w in weights.items()}
    save_checkpoint(tmp_path / "base", weights)
    save_checkpoint(tmp_path / "aligned", moved)
    tensors = lora({"model.layers.0.self_attn.q_proj": (8, 8)})
    small = {key: tensor * 1e-13 for key, tensor in tensors.items()}
    upload = save_adapter(tmp_path / "upload", small)
    policy = Policy.model_validate({"selection": {"mode": "all"}})
    run(upload, tmp_path / "base", tmp_path / "aligned", tmp_path / "out", policy)
    written = load_file(tmp_path / "out" / "adapter_model.safetensors")
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_{}.weight"
    ours = written[name.format("B")].double() @ written[name.format("A")].double()
    v = torch.eye(8).double() * 2.0**-20
    update = small[name.format("B")].double() @ small[name.format("A")].double()
    expected = v @ v.T / v.norm() @ update
    assert float((ours - expected).norm()) <= 0.01 * float(expected.norm())
