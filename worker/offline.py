"""One adapter, no service: `python -m worker sanitize`."""

import argparse
import shlex
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from rich.console import Console

from core.alignments import DEFAULT_RANK, is_model_name
from core.attestation.keys import SigningKey, SigningKeyUnusable
from core.canonical import pretty_json
from core.errors import AdapterRejected, GateError, RequestError
from core.exit_codes import DONE, FAILED, REJECTED, WRONG_ARGUMENTS
from core.policy import Policy, parse_policy
from core.render.html import render_html
from core.render.terminal import finding_text, print_report
from core.report import Report
from core.store.layout import ATTESTATION, INPUT_FILES, REPORT_HTML, REPORT_JSON
from worker.adapter import AdapterFiles
from worker.adapter.files import file_facts
from worker.alignment.make import Recipe
from worker.alignment.pair import Pair
from worker.alignment.source import AlignmentSource, PairAlignment, StoredAlignment
from worker.alignment.tiers import Folder, ModuleLoader, RamTier, read_manifest
from worker.attesting import attest_offline
from worker.pipeline import BaseNames, sanitize
from worker.tracking import Tracker

TIMINGS_JSON = "timings.json"


def run(arguments: argparse.Namespace) -> int:
    """The exit code: 0 done, 1 failed, 2 wrong arguments, 3 adapter rejected."""
    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    try:
        policy = _policy(arguments.policy)
        _check_folders(arguments)
        key = _signing_key(arguments.signing_key)
        return _sanitize(arguments, policy, key)
    except AdapterRejected as rejected:
        for found in rejected.findings:
            errors.print(finding_text(found))
        return REJECTED
    except RequestError as error:
        errors.print(f"error [{error.code}]: {error.message}", markup=False)
        return WRONG_ARGUMENTS
    except (GateError, OSError) as error:
        code = error.code if isinstance(error, GateError) else "os_error"
        errors.print(f"error [{code}]: {error}", markup=False)
        return FAILED


def _sanitize(arguments: argparse.Namespace, policy: Policy, key: SigningKey | None) -> int:
    tracker = Tracker()
    files = AdapterFiles(arguments.adapter, _other_names(arguments.adapter))
    names = BaseNames(written=arguments.base_name)
    output: Path = arguments.output
    output.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=output.parent, prefix=".sanitize-") as scratch,
        _alignment(arguments, policy) as alignment,
    ):
        made = Path(scratch)
        report = sanitize(files, alignment, policy, made, base_names=names, tracker=tracker)
        (made / REPORT_JSON).write_bytes(report.as_bytes())
        (made / REPORT_HTML).write_bytes(render_html(report))
        if key is not None and report.output is not None:
            facts = [file_facts(path) for path in made.iterdir()]
            (made / ATTESTATION).write_bytes(attest_offline(key, report, facts))
        timings = tracker.finish()
        (made / TIMINGS_JSON).write_bytes(pretty_json(timings))
        output.mkdir(exist_ok=True)
        for file in made.iterdir():
            file.replace(output / file.name)
    _print(report, timings, output)
    return DONE


def _print(report: Report, timings: dict[str, float], output: Path) -> None:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    table_by = f"safelora-gate report {shlex.quote(str(output))} --table"
    print_report(report, console, table_by=table_by)
    stages = ", ".join(f"{stage} {seconds:.3f}" for stage, seconds in timings.items())
    console.print(f"seconds: {stages}")


def _policy(argument: str | None) -> Policy:
    if argument is None:
        return Policy()
    if argument.lstrip().startswith("{"):
        return parse_policy(argument.encode())
    try:
        return parse_policy(Path(argument).read_bytes())
    except OSError as error:
        raise RequestError(
            f"--policy {argument}: {error.strerror}; give JSON text or a file that holds it",
            code="policy_unreadable",
        ) from error


def _signing_key(path: Path | None) -> SigningKey | None:
    try:
        return None if path is None else SigningKey.load(path)
    except SigningKeyUnusable as error:
        raise RequestError(f"--signing-key: {error.message}", code=error.code) from error


def _check_folders(arguments: argparse.Namespace) -> None:
    pair = (arguments.base, arguments.aligned)
    if (arguments.alignment is None) == (None in pair) or (arguments.alignment and any(pair)):
        raise RequestError("give --base and --aligned, or --alignment", code="arguments")
    if arguments.base_name is not None and not is_model_name(arguments.base_name):
        raise RequestError("--base-name is too long or not printable", code="arguments")
    named = [arguments.adapter, *(p for p in (*pair, arguments.alignment) if p is not None)]
    for folder in named:
        if not folder.is_dir():
            raise RequestError(f"{folder} is no folder", code="arguments")
    output: Path = arguments.output
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise RequestError(f"--output {output} exists and is not empty", code="arguments")


def _other_names(folder: Path) -> tuple[str, ...]:
    return tuple(p.name for p in sorted(folder.iterdir()) if p.name not in INPUT_FILES)


@contextmanager
def _alignment(arguments: argparse.Namespace, policy: Policy) -> Iterator[AlignmentSource]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if arguments.alignment is not None:
        files = Folder(arguments.alignment)
        manifest = read_manifest(files)
        manifest.check_fits(policy)
        loader = ModuleLoader(manifest, files, RamTier(capacity=0), device)
        yield StoredAlignment(manifest, loader, name=None)
        return
    with Pair(arguments.base, arguments.aligned) as pair:
        yield PairAlignment(pair, _recipe(policy), device)


def _recipe(policy: Policy) -> Recipe:
    """As many directions as the policy uses of any module, and no fewer than are stored else."""
    asked = [d for suffix in ("", *policy.families) if (d := policy.directions(suffix)) is not None]
    rank = max((d.rank or 0 for d in asked), default=0)
    share = max((d.energy_share or 0.0 for d in asked), default=0.0)
    return Recipe("float32", max(rank, DEFAULT_RANK), share or None)
