"""Whether what jobs are judged by is there."""

from collections.abc import Iterator

from pydantic import ValidationError

from app.doctor.check import Check, failed, ok, warning
from core.alignments import MANIFEST_FILE, AlignmentRecord, Manifest
from core.errors import RecordUnreadable
from core.records import Records
from core.store import layout
from core.store.base import ObjectMissing

_ANEW = "register the pair again: safelora-gate align {0}"


def alignment_checks(records: Records) -> Iterator[Check]:
    """Raises `StoreError`."""
    names = list(records.alignment_names())
    if not names:
        yield warning("alignments", "none", "register a pair of checkpoints: safelora-gate align")
    for name in names:
        try:
            record = records.alignment(name)
        except RecordUnreadable as error:
            yield failed("alignment", f"{name}: {error.message}", _ANEW.format(name))
            continue
        if record is not None:
            yield _check(records, record)


def _check(records: Records, record: AlignmentRecord) -> Check:
    name = record.name
    if record.state == "building":
        return ok("alignment", f"{name}: building since {record.created_at}")
    if record.state == "failed" or record.id is None:
        code = record.error.code if record.error else "unknown"
        return warning("alignment", f"{name}: not built: {code}", _ANEW.format(name))
    try:
        place = layout.alignment(record.id, MANIFEST_FILE)
        manifest = Manifest.model_validate_json(records.store.get(place))
    except (ObjectMissing, ValidationError):
        return failed("alignment", f"{name}: no manifest that can be read", _ANEW.format(name))
    folder = layout.alignment(record.id, "")
    there = {key.removeprefix(folder) for key in records.store.list(folder)}
    missing = [file for file in manifest.files if file and file not in there]
    if missing:
        found = f"{name}: {len(missing)} of {len(manifest.files)} files are missing"
        do = f"remove the name (DELETE /v1/alignments/{name}), then {_ANEW.format(name)}"
        return failed("alignment", found, do)
    return ok("alignment", f"{name}: ready, {len(manifest.modules)} modules")
