"""`safelora-gate report`: of a file, of a folder, of a job."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.cli import cli
from core.report import Report
from tests.core.test_terminal_heat import report, rows
from tests.safelora.serving import problem, says, scripted

VERSION = says(200, {"name": "safelora-gate", "engine": "9"})
JOB = "7ybqv25qt6vt2rr7h22ybvjmrd"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["report", *arguments])


@pytest.fixture
def kept() -> Report:
    return report(rows(32))


@pytest.fixture
def file(tmp_path: Path, kept: Report) -> Path:
    path = tmp_path / "report.json"
    path.write_bytes(kept.as_bytes())
    return path


def test_a_report_is_the_same_wherever_it_lies(file: Path, kept: Report) -> None:
    """A file, the folder that holds it, and the gate's answer about a job."""
    with scripted(VERSION, says(200, kept.as_json())) as gate:
        of_job = run(JOB, "--url", gate.url)
    of_file, of_folder = run(str(file)), run(str(file.parent))
    assert (of_file.exit_code, of_file.stderr) == (0, "")
    assert of_file.stdout == of_folder.stdout == of_job.stdout
    assert gate.heard[-1].path == f"/v1/jobs/{JOB}/report.json"
    assert "cosine from 0 to 1" in of_file.stdout
    assert "of 224 modules projected" in of_file.stdout


def test_a_line_for_each_module_is_there_on_demand(file: Path, kept: Report) -> None:
    """In place of the map."""
    lines = run(str(file), "--table").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:225]] == [row.name for row in kept.modules]
    assert "model.layers.0.q_proj" not in run(str(file)).stdout


@pytest.mark.parametrize("by", ["cosine", "retained", "signed", "update_ratio"])
def test_what_is_drawn_can_be_chosen(file: Path, by: str) -> None:
    assert f" {by} from " in run(str(file), "--by", by).stdout


def test_json_is_the_report_as_it_is(file: Path, kept: Report) -> None:
    """Of another version too, which this one could not draw."""
    assert run(str(file), "--json").stdout_bytes == kept.as_bytes()
    newer = json.dumps({**json.loads(kept.as_bytes()), "schema": "safelora-gate/report/9"})
    file.write_text(newer)
    assert run(str(file), "--json").stdout == newer
    drawn = run(str(file))
    assert (drawn.exit_code, drawn.stdout) == (2, "")
    assert "report_unreadable" in drawn.stderr
    assert "--json prints the report of another version" in drawn.stderr


def test_what_is_no_report_says_so(tmp_path: Path) -> None:
    """And what would be one."""
    (tmp_path / "adapter.bin").write_bytes(b"\x80\x04")
    (tmp_path / "nan.json").write_text('{"x": NaN}')
    (tmp_path / "folder").mkdir()
    wrong = {
        "is not JSON": [str(tmp_path / "adapter.bin")],
        "NaN is not a JSON number": [str(tmp_path / "nan.json"), "--json"],
        "holds no report.json": [str(tmp_path / "folder")],
        "is no file, no folder, and no job's id": [str(tmp_path / "nowhere.json")],
        "a\\x1b[2J is no file": ["a\x1b[2J"],
    }
    for words, arguments in wrong.items():
        done = run(*arguments)
        assert (done.exit_code, done.stdout) == (2, ""), done.stderr
        assert words in done.stderr


def test_a_job_that_is_not_there_leads_to_those_that_are() -> None:
    with scripted(VERSION, problem(404, "job_not_found")) as gate:
        done = run(JOB, "--url", gate.url)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "safelora-gate jobs list" in done.stderr
