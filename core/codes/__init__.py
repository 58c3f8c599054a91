"""Every error code of the gate, by where it comes up. A new code is one line in one of these files.

docs/errors.md and the OpenAPI document are made of them; a test holds them to the sources.
"""

from core.codes.adapters import ARCHIVES, PARTS, SOURCES
from core.codes.code import Code
from core.codes.jobs import ALIGNMENTS, JOBS, POLICIES
from core.codes.kept import BUILDS, RUNS
from core.codes.ours import FAULTS
from core.codes.places import DELIVERIES, DESTINATIONS, UPLOADS
from core.codes.requests import REQUESTS
from core.codes.terminal import CLIENT, TERMINAL
from core.codes.webhooks import ATTEMPTS, HOOKS, WEBHOOKS

SECTIONS: dict[str, dict[str, Code]] = {
    "The request": REQUESTS,
    "The parts of a job": PARTS,
    "Archives": ARCHIVES,
    "Sources and checkpoints": SOURCES,
    "Uploads": UPLOADS,
    "Destinations": DESTINATIONS,
    "Alignments": ALIGNMENTS,
    "Policies": POLICIES,
    "Jobs and their results": JOBS,
    "Webhooks out": WEBHOOKS,
    "Webhooks in": HOOKS,
    "Faults of the gate": FAULTS,
    "A job that failed": RUNS,
    "A result that was not brought": DELIVERIES,
    "An alignment that was not built": BUILDS,
    "An attempt to tell how a job ended": ATTEMPTS,
    "The client": CLIENT,
    "The terminal": TERMINAL,
}
CODES: dict[str, Code] = {
    name: code for section in SECTIONS.values() for name, code in section.items()
}
ANSWERS: dict[str, Code] = {name: code for name, code in CODES.items() if code.statuses}
"""Those that the API answers with."""

__all__ = ["ANSWERS", "CODES", "SECTIONS", "Code"]
