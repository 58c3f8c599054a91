"""What an upload says of itself reaches people: no terminal controls, no code in a page."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from core.errors import AdapterRejected
from core.policy import Policy
from core.render.html import render_html
from core.render.terminal import STYLES
from tests.hostile.making import (
    A_KEY,
    PREFIX,
    Change,
    Folders,
    added,
    config,
    honest,
    raw_config,
    sanitize_upload,
)
from tests.worker.making import CONFIG, pair_alignment
from worker.__main__ import main
from worker.adapter import AdapterFiles
from worker.reporting import rejection_report

STARTS = (*(f"{outcome} " for outcome in STYLES), "  ")
NAUGHTY = "\x1b]0;owned\x07\x1b[2J\r\n\x9b31m\u202e\u2066\x00\x7f[bold]<script>&\"'"
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]")

CHANGES: dict[str, Change] = {
    "tensor": added(f"{PREFIX}{NAUGHTY}.weight", 1),
    "factor": added(A_KEY.replace("q_proj", NAUGHTY), 2, 6),
    "field": config(**{NAUGHTY: NAUGHTY}),
    "value": config(bias=NAUGHTY, task_type=[NAUGHTY]),
    "pattern": config(alpha_pattern={NAUGHTY: NAUGHTY}),
    "base name": config(base_model_name_or_path=NAUGHTY),
    "auto_mapping": config(auto_mapping={NAUGHTY: NAUGHTY}),
    "peft type": config(peft_type=NAUGHTY),
    "key twice": raw_config(
        b"{" + b",".join([json.dumps(NAUGHTY).encode() + b":1"] * 2) + b"}",
    ),
    "no JSON": raw_config(json.dumps(CONFIG).encode() + NAUGHTY.encode()),
    "file": lambda upload: replace(upload, others={"x\x1b[2J\u202e\n<script>.md": b""}),
    "file that is no text": lambda upload: replace(upload, others={"x\udcff\udc80.md": b""}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_terminal_gets_no_control_characters(
    change: Change, pair: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """However it is hidden, nothing that moves a cursor, turns text or starts a line is printed."""
    change(honest()).write(tmp_path / "upload")
    arguments = ["sanitize", str(tmp_path / "upload"), "--output", str(tmp_path / "out")]
    pair_arguments = ["--base", str(pair.base), "--aligned", str(pair.aligned)]
    assert main([*arguments, *pair_arguments]) == 3
    printed = capsys.readouterr()
    assert CONTROL.search(printed.err + printed.out) is None
    assert all(line.startswith(STARTS) for line in printed.err.splitlines())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_report_of_a_rejection_can_be_written_and_shown(
    change: Change, pair: Folders, tmp_path: Path
) -> None:
    """report.json and the page hold no control character and no markup of the upload's."""
    upload = change(honest())
    with pytest.raises(AdapterRejected) as rejected:
        sanitize_upload(upload, pair, tmp_path)
    files = AdapterFiles(tmp_path / "upload", tuple(upload.others))
    with pair_alignment(pair.base, pair.aligned) as alignment:
        report = rejection_report(rejected.value, Policy(), files, alignment)
    text, page = report.as_bytes().decode(), render_html(report).decode()
    assert CONTROL.search(text) is None
    assert CONTROL.search(page) is None
    assert page.count("<script") == 0
    assert json.loads(text)["verdict"] == "rejected"


def test_flood_of_names_is_one_finding(pair: Folders, tmp_path: Path) -> None:
    """Past the cap on tensors they are not named one by one: a report has an end."""
    tensors = {f"{i:x}": torch.zeros(0) for i in range(20_001)}
    with pytest.raises(AdapterRejected) as rejected:
        sanitize_upload(replace(honest(), model=save(tensors)), pair, tmp_path)
    assert [f.code for f in rejected.value.findings] == ["tensors_over_cap"]


def test_long_names_are_cut(pair: Folders, tmp_path: Path) -> None:
    """A name of a megabyte is shown by its beginning."""
    upload = config(**{"f" * 10**6: 1})(added("t" * 10**6, 1)(honest()))
    upload = replace(upload, config=config(**{"f" * 10**6: 1})(upload).config)
    with pytest.raises(AdapterRejected) as rejected:
        sanitize_upload(upload, pair, tmp_path)
    assert len(rejected.value.findings) == 2
    assert all(len(f.subject) + len(f.detail) < 1100 for f in rejected.value.findings)
