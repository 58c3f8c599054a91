"""Whatever is let in changes the modules it names, by what its files say, and nothing else."""

import json
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from peft.utils import NoMatchingPeftModuleError
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from core.errors import AdapterRejected
from core.policy import Policy
from core.report import Report
from tests.worker.making import GOLDEN, run
from tests.worker.peft.architectures import (
    ARCHITECTURES,
    GEMMA,
    GPT2,
    GPT_NEOX,
    LLAMA,
    QWEN2,
    T5,
    Architecture,
    default_targets,
)
from tests.worker.peft.checks import HALF, PEFT_NOISE
from tests.worker.peft.features import FEATURES
from tests.worker.peft.fuzzing import HARMLESS, POLICIES, SIZES, Fuzzed, fuzzed
from tests.worker.peft.models import ModelPair, make_pair, train
from tests.worker.peft.moe import FAMILIES, Names, make_moe_pair
from tests.worker.peft.only_adapted import reaches, unexplained
from tests.worker.peft.serving import read_written
from tests.worker.peft.uploads import CONFIG, MODEL, PREFIX, Upload, read_upload

pytestmark = [
    pytest.mark.filterwarnings(PEFT_NOISE),
    pytest.mark.filterwarnings("ignore:Model (has|with) `tie_word_embeddings=True` and"),
    # one adapter on Conv1D and Linear: PEFT sets the field for each module, and says so
    pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to"),
]
by_name = pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: a.name)


def assert_as_reported(report: Report, output: Path) -> None:
    """The files hold the modules that were judged, each with the scaling it was judged with."""
    written = {path: factors.scaling for path, factors in read_written(output).items()}
    assert written == pytest.approx({row.name: row.scaling for row in report.modules})


def sanitize_and_compare(adapter: Path, pair: ModelPair, output: Path, policy: Policy) -> None:
    """Sanitize `adapter`, then hold what stock PEFT merges against the output's own files."""
    report = run(adapter, pair.base, pair.aligned, output, policy)
    assert_as_reported(report, output)
    assert unexplained(pair.aligned_model, output) == set()


@pytest.mark.parametrize("feature", ["patterns-rslora", "one-layer", "regex"])
@by_name
def test_feature_changes_its_modules_alone(
    architecture: Architecture, feature: str, tmp_path: Path
) -> None:
    """However modules are chosen and scaled, those in the file gain s·B'·A and no others do."""
    pair = make_pair(tmp_path, architecture)
    config = {**default_targets(architecture), **FEATURES[feature](architecture)}
    adapter = train(tmp_path / "adapter", pair.aligned_model, **config)
    sanitize_and_compare(adapter, pair, tmp_path / "out", HALF)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@by_name
def test_16_bit_adapter_changes_its_modules_alone(
    architecture: Architecture, dtype: torch.dtype, tmp_path: Path
) -> None:
    """The same for factors that go out in 16 bits."""
    pair = make_pair(tmp_path, architecture)
    config = default_targets(architecture)
    adapter = train(tmp_path / "adapter", pair.aligned_model, dtype=dtype, **config)
    sanitize_and_compare(adapter, pair, tmp_path / "out", HALF)


UNTIED = [a for a in ARCHITECTURES if a not in (T5, GPT_NEOX)]  # these two have none on disk
HEADS = [(a, False) for a in UNTIED] + [(a, True) for a in (GEMMA, GPT2, GPT_NEOX, T5)]


@pytest.mark.parametrize(
    ("architecture", "tied"), HEADS, ids=[f"{a.name}-{'' if t else 'un'}tied" for a, t in HEADS]
)
def test_head_changes_with_its_modules_alone(
    architecture: Architecture, tied: bool, tmp_path: Path
) -> None:
    """An adapted head gains its update; the embedding does so only where it is the same tensor."""
    pair = make_pair(tmp_path, architecture, tie_word_embeddings=tied)
    config = default_targets(architecture)
    config["target_modules"] = [*config["target_modules"], "lm_head"]
    model = pair.aligned_model
    adapter = train(tmp_path / "adapter", model, save_embedding_layers=False, **config)
    sanitize_and_compare(adapter, pair, tmp_path / "out", HALF)


@pytest.mark.parametrize("names", FAMILIES, ids=lambda n: n.model_type)
def test_experts_change_alone(names: Names, tmp_path: Path) -> None:
    """Of a mixture of experts the adapted experts change; routers and the others do not."""
    pair = make_moe_pair(tmp_path, names)
    config: dict[str, Any] = {
        "target_modules": r".*\.experts\.[13]\.\w+",
        "task_type": "FEATURE_EXTRACTION",
    }
    adapter = train(tmp_path / "adapter", pair.aligned_model, **config)
    sanitize_and_compare(adapter, pair, tmp_path / "out", HALF)


GOLDEN_POLICIES = [
    {},
    {"selection": {"mode": "threshold", "threshold": 0.5}, "reference": True},
    {"method": "complement", "side": "both", "rank": 8, "selection": {"mode": "all"}},
]


@pytest.mark.parametrize("fields", GOLDEN_POLICIES, ids=["default", "reference", "complement"])
def test_golden_adapter_changes_its_modules_alone(fields: dict[str, Any], tmp_path: Path) -> None:
    """The synthetic Llama of the golden case, read from its files by transformers."""
    base, aligned = (
        AutoModelForCausalLM.from_pretrained(GOLDEN / name) for name in ("base", "aligned")
    )
    pair = ModelPair(base, aligned, GOLDEN / "base", GOLDEN / "aligned")
    policy = Policy.model_validate(fields)
    sanitize_and_compare(GOLDEN / "adapter", pair, tmp_path / "out", policy)


Q_PROJ = "model.layers.0.self_attn.q_proj"


def with_tensor(name: str, *shape: int) -> Callable[[Path], None]:
    """A tensor that is no factor, added to the output's weights."""

    def plant(output: Path) -> None:
        tensors = load_file(output / MODEL)
        save_file({**tensors, f"{PREFIX}{name}": torch.full(shape, 0.5)}, output / MODEL)

    return plant


def with_field(name: str, value: Any) -> Callable[[Path], None]:
    def plant(output: Path) -> None:
        config = json.loads((output / CONFIG).read_text())
        (output / CONFIG).write_text(json.dumps({**config, name: value}))

    return plant


PLANTED: dict[str, tuple[Callable[[Path], None], set[str]]] = {
    "norm": (with_tensor("model.norm.weight", 32), {"model.norm.weight"}),
    "head": (with_tensor("lm_head.weight", 64, 32), {"lm_head.weight"}),
    "embedding": (with_tensor("model.embed_tokens.weight", 64, 32), {"model.embed_tokens.weight"}),
    "base weight": (with_tensor(f"{Q_PROJ}.base_layer.weight", 32, 32), {f"{Q_PROJ}.weight"}),
    "base bias": (with_tensor(f"{Q_PROJ}.base_layer.bias", 32), {f"{Q_PROJ}.bias"}),
    "lost module": (
        with_field("target_modules", [f"model.layers.{n}.self_attn.k_proj" for n in (0, 1)]),
        {f"model.layers.{n}.self_attn.q_proj.weight" for n in (0, 1)},
    ),
    "other scale": (with_field("alpha_pattern", {r".*\.0\..*q_proj": 9}), {f"{Q_PROJ}.weight"}),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_check_notices_what_is_planted_in_the_output(fault: str, tmp_path: Path) -> None:
    """The check of this file can fail: each fault is found, and by the name of what it changed."""
    plant, changed = PLANTED[fault]
    pair = make_pair(tmp_path, QWEN2)
    adapter = train(tmp_path / "adapter", pair.aligned_model, target_modules=["q_proj", "k_proj"])
    sanitize_and_compare(adapter, pair, tmp_path / "out", HALF)
    plant(tmp_path / "out")
    assert unexplained(pair.aligned_model, tmp_path / "out") == changed


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> ModelPair:
    return make_pair(tmp_path_factory.mktemp("llama"), LLAMA, **SIZES)


@pytest.fixture(scope="module")
def originals(llama: ModelPair, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Upload]:
    """Honest adapters as PEFT saves them, every field of the config spelled out."""
    folder = tmp_path_factory.mktemp("originals")
    return {
        feature: read_upload(
            train(
                folder / feature,
                llama.aligned_model,
                **{**default_targets(LLAMA), **FEATURES[feature](LLAMA)},
            )
        )
        for feature in ("plain", "patterns-rslora", "one-layer")
    }


def judge(upload: Upload, policy: Policy, pair: ModelPair, folder: Path) -> tuple[str, set[str]]:
    """What became of an upload, with the codes it was refused for. Every promise is held."""
    adapter, output = upload.write(folder / "adapter"), folder / "out"
    try:
        report = run(adapter, pair.base, pair.aligned, output, policy)
    except AdapterRejected as rejected:
        assert not list(output.iterdir())
        return "refused", {finding.code for finding in rejected.findings}
    assert_as_reported(report, output)
    causal, without_head = pair.aligned_model, pair.aligned_model.model
    if reaches(causal, output):
        assert unexplained(causal, output) == set()
        return "served", set()
    task = json.loads((output / CONFIG).read_text())["task_type"]
    if reaches(without_head, output) and task != "CAUSAL_LM":
        assert unexplained(without_head, output) == set()
        return "served", set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT says which tensors it found no place for
        with suppress(NoMatchingPeftModuleError):
            assert unexplained(causal, output) == set()
    return "named otherwise", set()


EXAMPLES = 400
FAIR_SHARE = EXAMPLES // 5  # of refusals, and of outputs that were held against the model
VARIETY = 15  # codes of findings


def test_fuzzed_adapter_is_refused_or_changes_its_modules_alone(
    llama: ModelPair, originals: dict[str, Upload]
) -> None:
    """Nothing but a refusal or an output that PEFT merges as its files say, whatever comes in."""
    outcomes: Counter[str] = Counter()
    codes: set[str] = set()
    kinds_served: set[str] = set()

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(fuzzed(originals))
    def check(case: Fuzzed) -> None:
        with TemporaryDirectory() as folder:
            outcome, refused_for = judge(
                case.upload(originals), POLICIES[case.policy], llama, Path(folder)
            )
        outcomes[outcome] += 1
        codes.update(refused_for)
        if outcome == "served":
            kinds_served.update(case.kinds)

    check()
    assert min(outcomes["served"], outcomes["refused"]) >= FAIR_SHARE
    assert kinds_served >= HARMLESS.keys()
    assert len(codes) >= VARIETY
