"""What is not the caller's fault. `reference` in the answer leads the operator to the log."""

from core.codes.code import Code, code

_AGAIN = "Send the request again after the seconds of `Retry-After`."
_OPERATOR = "Tell the operator the `reference`."

FAULTS: dict[str, Code] = {
    "queue_full": code(
        "As many jobs wait as this gate takes. Nothing was read or kept.",
        "Send the same request again after the seconds of `Retry-After`.",
        503,
    ),
    "not_ready": code(
        "The object store cannot be used, or the disk is full; `failed` names which.",
        "Wait, and look into the gate's log.",
        503,
    ),
    "store_unavailable": code("The object store does not answer as it should.", _AGAIN, 503),
    "object_missing": code("An object that a record names is not there.", _AGAIN, 503),
    "object_changed": code("An object was replaced while it was read.", _AGAIN, 503),
    "object_exists": code("An object was written by another process first.", _AGAIN, 503),
    "range_outside": code("An object is shorter than its record says.", _AGAIN, 503),
    "queue_unavailable": code("Redis does not answer.", _AGAIN, 503),
    "scratch_unavailable": code("The gate's own disk takes no upload now.", _AGAIN, 503),
    "record_unreadable": code("A stored record cannot be read.", _OPERATOR, 500),
    "bad_key": code("A name was made that the store cannot keep.", _OPERATOR, 500),
    "bad_range": code("A range was asked for that no object has.", _OPERATOR, 500),
    "internal_error": code(
        "The gate, or the worker that had a job, failed in a way nobody foresaw.", _OPERATOR, 500
    ),
}
