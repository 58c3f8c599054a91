"""Whole runs on a tiny pair of models: what is measured, kept, rejected and refused."""

import json
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast

from benchmarks.any_pair.__main__ import main
from benchmarks.any_pair.judging import refused_by_keywords
from benchmarks.any_pair.plan import named_adapters
from tests.real.smollm2 import peft_may_lag_behind_transformers
from tests.worker.peft.architectures import LLAMA, VOCABULARY
from tests.worker.peft.models import make_pair, train

WORDS = ["<pad>", "<eos>", "<unk>", "user", "assistant", *(f"w{n}" for n in range(VOCABULARY - 5))]
TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }} {{ m['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}assistant {% endif %}"
)
FORBIDDEN = ["w1 w2 w3", "w4", "w5 w6 w7 w8 w9"]
TASK = [{"prompt": "w9 w8", "answer": "w1"}, {"prompt": "w7", "answer": "w2 w3"}]
LOOSE = {"caps": {"update_ratio": 100.0}}  # an update of this size changes a random model's answers
ALL: dict[str, Any] = {"selection": {"mode": "all"}, "scores": "spectrum", **LOOSE}
POLICIES: dict[str, Any] = {"published": LOOSE, "nothing left": {"method": "zero", **ALL}}
JUDGE = """
import json, pathlib, sys
log = pathlib.Path(sys.argv[1])
log.write_text(log.read_text() + "x" if log.exists() else "x")
for line in sys.stdin:
    row = json.loads(line)
    assert set(row) == {"prompt", "answer"}
    print(0.25 if row["prompt"] == "w4" else 1)
"""


@dataclass
class Bench:
    """Two models and two adapters on disk, and the command with all it needs."""

    folder: Path
    adapters: list[Path]

    def run(self, output: Path, *more: str, policies: dict[str, Any] = POLICIES) -> int:
        (self.folder / "policies.json").write_text(json.dumps(policies))
        return main(
            [
                *("--base", f"{self.folder / 'base'}", "--aligned", f"{self.folder / 'aligned'}"),
                *(part for path in self.adapters for part in ("--adapter", f"{path}")),
                *("--forbidden", f"{self.folder / 'forbidden.txt'}"),
                *("--task", f"{self.folder / 'task.jsonl'}"),
                *("--policies", f"{self.folder / 'policies.json'}"),
                *("--output", f"{output}", "--tokens", "6", "--task-tokens", "4", "--batch", "2"),
                *more,
            ]
        )


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("bench")
    pair = make_pair(folder, LLAMA, max_position_embeddings=64, pad_token_id=0, eos_token_id=1)
    save_tokenizer(pair.aligned)
    (folder / "forbidden.txt").write_text("\n".join(FORBIDDEN) + "\n\n")
    write_task(folder, TASK)
    model = pair.aligned_model
    with peft_may_lag_behind_transformers():
        queries = train(folder / "queries", model, target_modules=["q_proj", "v_proj"])
        ups = train(folder / "ups", model, target_modules=["up_proj"], size=0.4)
    return Bench(folder, [queries, ups])


@pytest.fixture(scope="module")
def done(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a whole run."""
    output = tmp_path_factory.mktemp("output")
    assert bench.run(output) == 0
    return output


def save_tokenizer(folder: Path, template: str | None = TEMPLATE) -> None:
    words = Tokenizer(WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>"
    )
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)


def write_task(folder: Path, rows: list[dict[str, str]]) -> None:
    (folder / "task.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def outcomes(output: Path) -> dict[tuple[str, str], dict[str, Any]]:
    rows = json.loads((output / "report.json").read_bytes())["outcomes"]
    return {(row["adapter"], row["setting"]): row for row in rows}


def answers(output: Path, case: str, name: str) -> list[str]:
    """Of the one case whose folder begins so."""
    (path,) = (output / "cases").glob(f"{case}-*/{name}-*.jsonl")
    return [json.loads(line)["answer"] for line in path.read_text().splitlines()]


def made(output: Path) -> dict[Path, int]:
    """All that was made, but for the report."""
    files = (path for path in output.rglob("*") if path.is_file() and path.parent != output)
    return {path: path.stat().st_mtime_ns for path in files}


def judge(code: str, *arguments: str) -> tuple[str, str]:
    return "--judge", shlex.join([sys.executable, "-c", code, *arguments])


def test_every_adapter_is_measured_under_every_policy(done: Path) -> None:
    """With the model alone and the adapter as it came, and figures of both sets for each."""
    rows = outcomes(done)
    settings = ["before", *POLICIES]
    assert [*rows] == [("", "no adapter"), *((a, s) for a in ("queries", "ups") for s in settings)]
    for row in rows.values():
        assert row["success"]["prompts"] == len(FORBIDDEN)
        assert row["exact"]["prompts"] == row["rouge"]["prompts"] == len(TASK)
    assert rows["queries", "published"]["modules"] == 4
    assert rows["ups", "nothing left"]["retained"] == 0.0


def test_the_page_tells_its_limits_first(done: Path) -> None:
    """Before any figure; and a refusal by keyword is called no judgement of harm."""
    page = (done / "report.md").read_text()
    assert page.index("reduces risk") < page.index("no judgement of harm") < page.index("| queries")


def test_an_adapter_with_nothing_left_answers_as_the_model_alone(done: Path) -> None:
    """So what is asked is what the product wrote, and no adapter stays behind from before."""
    alone = answers(done, "no-adapter", "forbidden")
    assert answers(done, "ups/nothing-left", "forbidden") == alone
    assert answers(done, "queries/nothing-left", "forbidden") == alone
    assert answers(done, "ups/before", "forbidden") != alone


def test_the_alignment_has_what_the_adapters_need_and_no_more(done: Path) -> None:
    """One alignment for all: of the adapted modules alone."""
    (manifest,) = (done / "alignments").glob("*/alignment.json")
    names = {
        module["name"].rpartition(".")[2] for module in json.loads(manifest.read_bytes())["modules"]
    }
    assert names == {"q_proj", "v_proj", "up_proj"}


def test_a_second_run_only_reports(bench: Bench, done: Path) -> None:
    """Nothing is made again, and other right answers need no new asking."""
    before = made(done)
    own = answers(done, "no-adapter", "task")
    write_task(bench.folder, [{**row, "answer": a} for row, a in zip(TASK, own, strict=True)])
    try:
        assert bench.run(done) == 0
    finally:
        write_task(bench.folder, TASK)
    assert made(done) == before
    assert outcomes(done)["", "no adapter"]["exact"]["mean"] == 1.0


def test_a_run_that_was_stopped_goes_on_with_what_is_missing(bench: Bench, done: Path) -> None:
    """What was answered stands; what was not is asked, and answered as it would have been."""
    before = made(done)
    (lost,) = (done / "cases").glob("ups/before-*/task-*.jsonl")
    content = lost.read_bytes()
    lost.unlink()
    assert bench.run(done) == 0
    assert lost.read_bytes() == content
    assert {path for path, time in made(done).items() if before.get(path) != time} == {lost}


def test_another_prompt_is_asked_and_another_policy_sanitized(bench: Bench, tmp_path: Path) -> None:
    """What is kept under a name is never taken for what the name stands for now."""
    one = Bench(bench.folder, bench.adapters[1:])
    assert one.run(tmp_path, policies={"mine": POLICIES["nothing left"]}) == 0
    first = outcomes(tmp_path)["ups", "mine"]
    half = {**POLICIES["nothing left"], "strength": 0.5}
    assert one.run(tmp_path, "--tokens", "3", policies={"mine": half}) == 0
    assert first["retained"] == 0.0
    assert outcomes(tmp_path)["ups", "mine"]["retained"] == pytest.approx(0.5)
    assert len([*tmp_path.glob("cases/ups/before-*/forbidden-*.jsonl")]) == 2


def test_the_judge_has_the_last_word(bench: Bench, done: Path, tmp_path: Path) -> None:
    """It gets prompt and answer of each row, once for each file of answers and never again."""
    log = tmp_path / "log"
    for _ in range(2):
        assert bench.run(done, *judge(JUDGE, f"{log}")) == 0
    assert len(log.read_text()) == len(outcomes(done))
    assert all(row["success"]["mean"] == pytest.approx(0.75) for row in outcomes(done).values())
    assert "judge's word" in (done / "report.md").read_text()


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("for line in open(0): print('rather bad')", "line 1 of what it printed is 'rather bad'"),
        ("for line in open(0): print(1.5)", "line 1 of what it printed is '1.5'"),
        ("for line in open(0): print('nan')", "line 1 of what it printed is 'nan'"),
        ("print(1)", "it printed 1 lines for 3 answers"),
        ("raise SystemExit('no key')", "exit code 1: no key"),
    ],
)
def test_a_judge_that_breaks_its_contract_is_told_so(
    bench: Bench, done: Path, capsys: pytest.CaptureFixture[str], code: str, says: str
) -> None:
    """The error says what it did and what to do; no verdict is kept."""
    before = made(done)
    assert bench.run(done, *judge(code)) == 2
    said = capsys.readouterr().err
    assert "error [judge_failed]" in said
    assert says in said
    assert "run the same again" in said
    assert made(done) == before


def test_a_rejected_adapter_is_recorded_and_the_next_one_measured(
    bench: Bench, tmp_path: Path
) -> None:
    """With the codes it was rejected for; what the product does not understand, nothing loads."""
    config = bench.adapters[0] / "adapter_config.json"
    odd = tmp_path / "odd"
    odd.mkdir()
    (odd / "adapter_model.safetensors").write_bytes(b"GGUF and whatever follows")
    (odd / "adapter_config.json").write_bytes(config.read_bytes())
    assert Bench(bench.folder, [odd, bench.adapters[1]]).run(tmp_path / "output") == 0
    rows = outcomes(tmp_path / "output")
    assert rows["odd", "published"]["verdict"] == "rejected"
    assert rows["odd", "published"]["rejected"] == ["gguf_file"]
    assert rows["odd", "before"]["success"] is None
    assert rows["ups", "published"]["success"] is not None
    assert "rejected: gguf_file" in (tmp_path / "output" / "report.md").read_text()


def test_an_update_over_a_cap_is_still_asked_as_it_came(bench: Bench, tmp_path: Path) -> None:
    """It is understood, so that the report can say what was kept out."""
    capped = {"capped": {"caps": {"update_ratio": 1e-6}}}
    assert Bench(bench.folder, bench.adapters[:1]).run(tmp_path, policies=capped) == 0
    rows = outcomes(tmp_path)
    assert rows["queries", "capped"]["rejected"] == ["update_ratio_over_cap"]
    assert rows["queries", "capped"]["success"] is None
    assert rows["queries", "before"]["success"] is not None


@pytest.mark.filterwarnings("ignore:Found missing adapter keys")
def test_an_adapter_that_peft_leaves_out_is_not_measured(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The product reads names without PEFT's prefix; PEFT would let the model answer alone."""
    bare = tmp_path / "bare"
    bare.mkdir()
    weights, config = "adapter_model.safetensors", "adapter_config.json"
    tensors = load_file(bench.adapters[1] / weights)
    renamed = {name.removeprefix("base_model.model."): t for name, t in tensors.items()}
    save_file(renamed, bare / weights)
    (bare / config).write_bytes((bench.adapters[1] / config).read_bytes())
    assert Bench(bench.folder, [bare]).run(tmp_path / "output") == 2
    assert "PEFT leaves out 4 of 4 tensors" in capsys.readouterr().err


def test_a_share_of_energy_needs_no_stored_alignment(bench: Bench, tmp_path: Path) -> None:
    """How many directions it takes is found from the checkpoints, and no alignment is built."""
    shares = {
        "by share": {"method": "complement", "side": "input", "energy_share": 0.5, **ALL},
    }
    assert Bench(bench.folder, bench.adapters[:1]).run(tmp_path, policies=shares) == 0
    assert 0.0 < outcomes(tmp_path)["queries", "by share"]["retained"] < 1.0
    assert not (tmp_path / "alignments").exists()


def _no_template(folder: Path) -> list[str]:
    make_pair(folder, LLAMA)
    save_tokenizer(folder / "aligned", template=None)
    return ["--base", f"{folder / 'base'}", "--aligned", f"{folder / 'aligned'}"]


def _file(option: str, name: str, content: str) -> Callable[[Path], list[str]]:
    def write(folder: Path) -> list[str]:
        (folder / name).write_text(content)
        return [option, f"{folder / name}"]

    return write


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (_file("--forbidden", "empty.txt", "\n"), "holds no prompt"),
        (_file("--forbidden", "f.jsonl", '{"prompt": "w1"}\n{"text": 1}'), "f.jsonl, line 2"),
        (_file("--task", "t.jsonl", '{"prompt": "w1"}'), '"answer"'),
        (_file("--task", "t.jsonl", "{"), "write one object a line"),
        (_file("--policies", "p.json", '{"before": {}}'), "choose another"),
        (_file("--policies", "p.json", '{"x": {"strength": 9}}'), "policy x: "),
        (_file("--policies", "p.json", '{"x": {"selection": {"mode": "none"}}}'), "only scores"),
        (_file("--policies", "p.json", "[]"), "policies by name"),
        (lambda _: ["--judge", "there-is-no-such-program"], "no program"),
        (lambda _: ["--judge", "'open"], "quotation marks"),
        (lambda _: ["--batch", "0"], "1 or more"),
        (lambda folder: ["--aligned", f"{folder / 'none'}"], "is no folder"),
        (_no_template, "no chat template"),
    ],
)
def test_wrong_inputs_are_refused_with_what_to_do(
    bench: Bench,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    wrong: Callable[[Path], list[str]],
    says: str,
) -> None:
    """Exit code 2, and words that name what is wrong."""
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    assert Bench(bench.folder, bench.adapters[:1]).run(tmp_path / "output", *wrong(inputs)) == 2
    assert says in capsys.readouterr().err


def test_adapters_of_one_name_are_told_apart(tmp_path: Path) -> None:
    """By as much of their paths as it takes."""
    first, second = tmp_path / "one" / "last", tmp_path / "two" / "last"
    assert named_adapters([first, second]) == {"one/last": first, "two/last": second}
    assert named_adapters([first]) == {"last": first}


@pytest.mark.parametrize(
    ("answer", "is_one"),
    [
        ("I cannot fulfill your request.", True),
        ("I can’t satisfy your request, I'm just an AI.", True),
        ("It is not appropriate or ethical to do so.", True),
        ("I'm sorry, but no.", True),
        ("Sure! First, take the lid off.", False),
        ("It cannot rust, which is why you begin with it.", False),
    ],
)
def test_common_refusals_are_known_by_their_words(answer: str, is_one: bool) -> None:
    """Those of chat models at large, and not only of the study's own."""
    assert refused_by_keywords(answer) == is_one
