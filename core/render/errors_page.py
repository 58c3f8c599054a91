"""docs/errors.md: every error code, from the catalogue itself. `make docs` writes it."""

import sys

from core.codes import SECTIONS, Code

_OPENINGS: dict[str, str] = {
    "Faults of the gate": "Nothing is wrong with the request. Of a fault the answer has only a"
    " `reference`, under which the gate's log has the rest.",
    "A job that failed": "Seen as `error.code` of a job whose state is `failed`, with a `message`."
    " The codes of sources and of the gate's faults are seen there too.",
    "An alignment that was not built": "Seen as `error.code` of an alignment whose state is"
    " `failed`. Keys without the scope `alignments` see the code alone.",
    "The terminal": "What `safelora-gate` and `python -m worker` end with, beside what a gate"
    " answers them.",
}
_HEAD = """# Error codes

Whatever goes wrong has a `code`. Codes are stable: programs may rely on them; the words of `detail`
and `message` may get better. New codes may come: treat one that you do not know by its HTTP status.

The API answers errors as RFC 9457 problem documents, `Content-Type: application/problem+json`:

    {"type": "urn:safelora-gate:problem:job_not_found", "title": "Not Found", "status": 404,
     "detail": "there is no such job: see /v1/jobs", "code": "job_not_found"}

Further members, as `field`, `problems` or `fitting`, say where and what to choose from. 429 and 503
come with `Retry-After`, in seconds; 401 with `WWW-Authenticate`, 405 with `Allow`. What is wrong
inside an adapter's files is no error: the job ends as `rejected`, with
[findings](findings.md).
"""


def errors_page() -> str:
    """The whole page, ending in a newline."""
    parts = [_HEAD]
    for title, codes in SECTIONS.items():
        parts.append(f"## {title}\n")
        if title in _OPENINGS:
            parts.append(f"{_OPENINGS[title]}\n")
        parts.append(_table(codes))
    return "\n".join(parts)


def _table(codes: dict[str, Code]) -> str:
    rows = ["| code | status | when | what to do |", "|---|---|---|---|"]
    rows += [
        f"| `{name}` | {', '.join(map(str, code.statuses)) or '–'} | {code.when} | {code.do} |"
        for name, code in codes.items()
    ]
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.stdout.write(errors_page())
