"""`python -m worker sanitize`: the files it writes and the words it says, which others rely on."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, load_file, save_file

from core.render.html import REPORT_JS
from tests.attested import codes, keys_of, seed, verified
from tests.worker.desk import DONE, MODULES, Q_PROJ, REJECTED, Desk, build, make_desk

ADAPTER = ("adapter_config.json", "adapter_model.safetensors")
REPORTS = ("report.html", "report.json", "timings.json")
ROW = {
    *("name", "layer", "family", "rank", "scaling", "out", "in"),
    *("cosine", "baseline", "signed", "undo", "energy", "input_energy", "directions"),
    *("purity", "confined", "retained", "update_ratio"),
    *("projected", "borderline", "reason", "refactored", "widened"),
}
REPORT = {
    *("schema", "verdict", "summary", "modules", "findings"),
    *("alignment", "policy", "input", "output", "engine"),
}
STAGES = {"read", "check", "align", "score", "project", "write", "verify", "total"}


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    return make_desk(tmp_path, capsys)


def command(desk: Desk, *more: str) -> "subprocess.CompletedProcess[str]":
    """The command as a user starts it."""
    return subprocess.run(
        [sys.executable, "-m", "worker", *desk.arguments(*more)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )


def test_command_writes_adapter_report_page_and_timings(desk: Desk) -> None:
    """Exit 0: two files of the adapter, three that tell of it, and the table on stdout."""
    done = command(desk, *desk.pair)
    assert (done.returncode, done.stderr) == (DONE, "")
    assert sorted(desk.written()) == sorted([*ADAPTER, *REPORTS])
    assert all(name in done.stdout for name in MODULES)
    assert "seconds: check" in done.stdout
    assert [p.name for p in desk.output.parent.iterdir()] == ["output"]


def test_command_rejects_with_code_and_tensor_on_stderr(desk: Desk) -> None:
    """Exit 3: what is wrong, in which tensor, why and what to do; no output folder."""
    name = "base_model.model.model.norm.weight"
    weights = load_file(desk.adapter / "adapter_model.safetensors")
    save_file({**weights, name: torch.ones(10)}, desk.adapter / "adapter_model.safetensors")
    done = command(desk, *desk.pair)
    assert (done.returncode, done.stdout) == (REJECTED, "")
    assert f"refused base_overwrite: tensor {name}" in done.stderr
    assert "strict=False" in done.stderr and "Traceback" not in done.stderr
    assert desk.nothing_made()


def test_report_has_the_fields_that_others_rely_on(desk: Desk) -> None:
    """Top level and rows, one row a module by its name without `base_model.model.`."""
    assert desk.run(*desk.pair).code == DONE
    report = json.loads(desk.written()["report.json"])
    assert report.keys() == REPORT
    assert [row["name"] for row in report["modules"]] == sorted(MODULES)
    assert all(row.keys() == ROW for row in report["modules"])
    assert [(row["layer"], row["family"]) for row in report["modules"]] == [
        (0, "q_proj"),
        (0, "v_proj"),
        (1, "q_proj"),
    ]
    assert report["verdict"] == "projected"
    assert [row["name"] for row in report["modules"] if row["projected"]] == [Q_PROJ]
    assert report["input"]["base_model_name_or_path"] == "org/model"
    assert {f["name"] for f in report["output"]["files"]} == set(ADAPTER)
    assert report["output"]["verified"] == 3


def test_timings_name_every_stage(desk: Desk) -> None:
    """Seconds a stage, in a file of their own: a report holds no time."""
    assert desk.run(*desk.pair).code == DONE
    timings = json.loads(desk.written()["timings.json"])
    assert timings.keys() == STAGES
    assert sum(timings.values()) - timings["total"] <= timings["total"]
    assert all(seconds >= 0.0 for seconds in timings.values())


def test_page_names_every_module_and_fetches_nothing(desk: Desk) -> None:
    """report.html stands alone: no address, and no script but the one that sorts its table."""
    assert desk.run(*desk.pair).code == DONE
    page = desk.written()["report.html"].decode()
    assert all(name in page for name in MODULES)
    assert page.count("<script") == page.count(REPORT_JS) == 1
    assert not any(mark in page for mark in ("http:", "https:", "src=", "@import", "url("))


def test_same_input_gives_the_same_bytes(desk: Desk) -> None:
    """Adapter, config, report and page: no time, path or name of a machine is in them."""
    assert desk.run(*desk.pair).code == DONE
    first = desk.written()
    for file in desk.output.iterdir():
        file.unlink()
    elsewhere = desk.folder / "elsewhere"
    desk.adapter.rename(elsewhere)
    assert desk.run(*desk.pair, adapter=elsewhere).code == DONE
    second = desk.written()
    assert {n: d for n, d in first.items() if n != "timings.json"} == {
        n: d for n, d in second.items() if n != "timings.json"
    }
    assert str(desk.folder).encode() not in b"".join(first.values())


def test_existing_empty_output_is_used(desk: Desk) -> None:
    """A folder that is there and empty is as good as none; the files can be read by others."""
    desk.output.mkdir(parents=True)
    assert desk.run(*desk.pair).code == DONE
    assert sorted(desk.written()) == sorted([*ADAPTER, *REPORTS])
    assert all(p.stat().st_mode & 0o444 == 0o444 for p in desk.output.iterdir())


def test_rejection_leaves_an_existing_output_empty(desk: Desk) -> None:
    """Nothing is published of what was refused."""
    desk.output.mkdir(parents=True)
    (desk.adapter / "tokenizer.json").write_text("{}")
    ended = desk.run(*desk.pair)
    assert ended.code == REJECTED
    assert "refused side_file: file tokenizer.json" in ended.err
    assert list(desk.output.iterdir()) == []


def test_base_name_is_the_operators(desk: Desk) -> None:
    """`--base-name` goes into the config, else null; never what the upload said."""
    assert desk.run(*desk.pair).code == DONE
    assert json.loads(desk.written()["adapter_config.json"])["base_model_name_or_path"] is None
    for file in desk.output.iterdir():
        file.unlink()
    assert desk.run(*desk.pair, "--base-name", "org/aligned").code == DONE
    config = json.loads(desk.written()["adapter_config.json"])
    assert config["base_model_name_or_path"] == "org/aligned"


@pytest.mark.parametrize("from_file", [True, False], ids=["file", "text"])
def test_policy_is_text_or_a_file(from_file: bool, desk: Desk) -> None:
    """The same JSON either way, and the report repeats it in full."""
    text = '{"method": "zero", "selection": {"mode": "all"}}'
    policy = text
    if from_file:
        (desk.folder / "policy.json").write_text(text)
        policy = str(desk.folder / "policy.json")
    assert desk.run(*desk.pair, "--policy", policy).code == DONE
    report = json.loads(desk.written()["report.json"])
    assert (report["policy"]["method"], report["policy"]["strength"]) == ("zero", 1.0)
    weights = load_file(desk.output / "adapter_model.safetensors")
    assert all(float(w.norm()) == 0.0 for name, w in weights.items() if "lora_B" in name)


def test_policy_that_only_scores_publishes_no_adapter(desk: Desk) -> None:
    """`selection` none: a report with scores, and no adapter to mistake for a sanitized one."""
    ended = desk.run(*desk.pair, "--policy", '{"selection": {"mode": "none"}}')
    assert ended.code == DONE
    assert sorted(desk.written()) == sorted(REPORTS)
    report = json.loads(desk.written()["report.json"])
    assert (report["verdict"], report["output"]) == ("scored", None)
    assert all(row["cosine"] is not None for row in report["modules"])
    assert json.loads(desk.written()["timings.json"]).keys() == STAGES - {"write", "verify"}


def test_ready_alignment_gives_the_tensors_of_the_pair(desk: Desk) -> None:
    """V in float32 and as many directions: the same adapter and report, with no checkpoint read."""
    assert desk.run(*desk.pair).code == DONE
    from_pair = desk.written()
    for file in desk.output.iterdir():
        file.unlink()
    ended = desk.run("--alignment", str(build(desk)))
    assert (ended.code, ended.err) == (DONE, "")
    stored = desk.written()
    assert stored["adapter_config.json"] == from_pair["adapter_config.json"]
    tensors = [load(files["adapter_model.safetensors"]) for files in (from_pair, stored)]
    assert tensors[0].keys() == tensors[1].keys()
    assert all(torch.equal(tensors[0][name], tensors[1][name]) for name in tensors[0])
    reports = [json.loads(files["report.json"]) for files in (from_pair, stored)]
    assert reports[0]["modules"] == reports[1]["modules"]
    assert reports[0]["summary"] == reports[1]["summary"]


def test_upload_is_only_read(desk: Desk) -> None:
    """The adapter's folder holds the same bytes afterwards, and nothing more."""
    before = {p.name: p.read_bytes() for p in desk.adapter.iterdir()}
    assert desk.run(*desk.pair).code == DONE
    assert {p.name: p.read_bytes() for p in desk.adapter.iterdir()} == before


def test_an_mlx_folder_is_converted(desk: Desk) -> None:
    """As mlx-lm saves it: the output has the tensors of the same adapter from PEFT."""
    assert desk.run(*desk.pair).code == DONE
    expected = load(desk.written()["adapter_model.safetensors"])
    for file in desk.output.iterdir():
        file.unlink()
    peft = desk.adapter / "adapter_model.safetensors"
    names = {"lora_A.weight": "lora_a", "lora_B.weight": "lora_b"}
    mlx = {
        name.removeprefix("base_model.model.").replace(old, new): tensor.T.contiguous()
        for name, tensor in load_file(peft).items()
        for old, new in names.items()
        if name.endswith(old)
    }
    save_file(mlx, desk.adapter / "adapters.safetensors")
    peft.unlink()
    config = json.loads((desk.adapter / "adapter_config.json").read_text())
    rank = config["r"]
    parameters = {"rank": rank, "scale": config["lora_alpha"] / rank, "dropout": 0.0}
    (desk.adapter / "adapter_config.json").write_text(
        json.dumps({"fine_tune_type": "lora", "num_layers": 1, "lora_parameters": parameters})
    )
    ended = desk.run(*desk.pair)
    assert (ended.code, ended.err) == (DONE, "")
    written = load(desk.written()["adapter_model.safetensors"])
    assert written.keys() == expected.keys()
    assert all(torch.equal(written[name], expected[name]) for name in expected)


def test_command_attests_what_it_made(desk: Desk) -> None:
    """With a key of one's own; the folder verifies as it lies, timings and all."""
    key = seed(1)
    key.write_new(desk.folder / "key.pem")
    ended = desk.run(*desk.pair, "--signing-key", str(desk.folder / "key.pem"))
    assert ended.code == DONE
    assert "attestation.json" in desk.written()
    outcome = verified(desk.output, keys_of(key))
    assert outcome.verified
    assert outcome.predicate is not None
    assert outcome.predicate.recipe is None
    assert codes(verified(desk.output, keys_of(seed(2)))) == ["key_unknown"]


def test_command_attests_nothing_that_it_only_scored(desk: Desk) -> None:
    """No adapter is written, so there is nothing to vouch for."""
    seed(1).write_new(desk.folder / "key.pem")
    policy = '{"selection": {"mode": "none"}}'
    signing = ("--signing-key", str(desk.folder / "key.pem"))
    assert desk.run(*desk.pair, "--policy", policy, *signing).code == DONE
    assert sorted(desk.written()) == sorted(REPORTS)


def test_key_that_is_none_is_a_wrong_argument(desk: Desk) -> None:
    """Before anything is read: exit 2, and nothing is written."""
    ended = desk.run(*desk.pair, "--signing-key", str(desk.adapter / "adapter_config.json"))
    assert (ended.code, desk.nothing_made()) == (2, True)
    assert "signing_key_unusable" in ended.err
