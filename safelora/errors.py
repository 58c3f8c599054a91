"""One exception tree. What the gate said is in `code` (stable), `status`, `detail` and `problem`.

GateError
├── UsageError          what was given to the client makes no request (a ValueError too)
├── RequestRefused      4xx: the request is not taken as it is; `detail` says what to change
├── GateFailed          5xx: the gate could not do its part
├── Unavailable         no answer, 429, 502, 503 or 504, and patience is at its end
├── NoGate              what answers at this address is no gate
├── TooLate             the time given is up; what was waited for goes on
├── DownloadDamaged     what came is not what the report says; nothing was kept
└── AlignmentFailed     there will be no alignment of this pair
"""

from collections.abc import Mapping
from typing import Any


class GateError(Exception):
    """Root of the tree. `problem` is the problem document (RFC 9457), empty where there was none;
    `status` is None where there was no answer. Neither holds the key."""

    code = "gate_error"

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        status: int | None = None,
        problem: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or type(self).code
        self.status = status
        self.problem = dict(problem or {})


class UsageError(GateError, ValueError):
    code = "arguments"


class RequestRefused(GateError):
    code = "request_refused"


class GateFailed(GateError):
    code = "gate_failed"


class Unavailable(GateError):
    code = "gate_unreachable"


class NoGate(GateError):
    code = "no_gate"


class TooLate(GateError):
    code = "too_late"


class DownloadDamaged(GateError):
    code = "download_damaged"


class AlignmentFailed(GateError):
    code = "build_failed"
