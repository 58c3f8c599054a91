"""One exception tree: each error has a stable code, an HTTP status, and says what to do.

GateError
├── RequestError            the caller can mend it (4xx)
│   ├── NotFound            404
│   ├── Forbidden           403
│   ├── RequestTimeout      408
│   ├── Conflict            409
│   ├── Gone                410
│   ├── TooLarge            413
│   ├── TooManyRequests     429; later is better
│   └── Unprocessable       422
├── AdapterRejected         the adapter's files are at fault; carries findings
├── AlignmentError          the pair of checkpoints, or a stored alignment, is unusable
├── StoreError              the object store failed
├── QueueError              the queue failed
├── QueueFull               503: too many jobs wait; nothing is wrong, later is better
└── EngineError             we failed; nothing was published
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.findings import Finding


class GateError(Exception):
    """Root of the tree. `code` is stable; `details` are extra members of the problem document."""

    code = "internal_error"
    status = 500

    def __init__(self, message: str, *, code: str | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code
        self.details = details


class RequestError(GateError):
    """The request cannot be served as it is; the message says what to change."""

    code = "bad_request"
    status = 400


class Unauthorized(RequestError):
    code = "unauthorized"
    status = 401


class Forbidden(RequestError):
    code = "forbidden"
    status = 403


class NotFound(RequestError):
    code = "not_found"
    status = 404


class RequestTimeout(RequestError):
    code = "request_timeout"
    status = 408


class Conflict(RequestError):
    code = "conflict"
    status = 409


class Gone(RequestError):
    code = "gone"
    status = 410


class TooLarge(RequestError):
    code = "too_large"
    status = 413


class UnsupportedMediaType(RequestError):
    code = "unsupported_media_type"
    status = 415


class Unprocessable(RequestError):
    code = "unprocessable"
    status = 422


class TooManyRequests(RequestError):
    """More than this caller may ask: the same request is good after `retry_after` seconds."""

    code = "rate_limited"
    status = 429

    def __init__(self, message: str, *, retry_after: int, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class AdapterRejected(GateError):
    """The adapter was not understood in full, so nothing is published. Carries every finding."""

    code = "adapter_rejected"
    status = 422

    def __init__(self, findings: "Sequence[Finding]") -> None:
        codes = ", ".join(dict.fromkeys(finding.code for finding in findings))
        super().__init__(f"the adapter is rejected: {codes}", findings=list(findings))
        self.findings = tuple(findings)


class AlignmentError(GateError):
    """A pair of checkpoints or a stored alignment cannot be used as asked."""

    code = "alignment_unusable"
    status = 422


class StoreError(GateError):
    """The object store failed or holds something that should not be there."""

    code = "store_unavailable"
    status = 503


class RecordUnreadable(StoreError):
    """A record in the store is damaged, or of another version; trying again does not help."""

    code = "record_unreadable"
    status = 500


class QueueError(GateError):
    """Redis did not take or give a job."""

    code = "queue_unavailable"
    status = 503


class QueueFull(GateError):
    """As many jobs wait as may: the same request is good after `retry_after` seconds."""

    code = "queue_full"
    status = 503

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class EngineError(GateError):
    """A fault of ours while processing: the job fails, nothing is published, retrying is safe."""

    code = "engine_error"
    status = 500
