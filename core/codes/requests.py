"""What is wrong with a request, whatever it asks for."""

from core.codes.code import Code, code

REQUESTS: dict[str, Code] = {
    "unauthorized": code(
        "No key was sent, or one that this gate does not know.",
        "Send `Authorization: Bearer` and a key of this gate.",
        401,
    ),
    "key_revoked": code("The key was revoked.", "Use another key.", 401),
    "key_expired": code("The key has expired.", "Use another key.", 401),
    "too_many_failures": code(
        "Too many requests without a good key or signature came from this address.",
        "Wait as long as `Retry-After` says, and check the key or the secret.",
        429,
    ),
    "rate_limited": code(
        "The tenant has sent as many requests as it may within a minute.",
        "Wait as long as `Retry-After` says.",
        429,
    ),
    "too_many_streams": code(
        "As many event streams and long polls of the tenant are open as may be.",
        "Close one, or wait as long as `Retry-After` says.",
        429,
    ),
    "too_many_uploads": code(
        "As many uploads of the tenant are under way as may be.",
        "Wait for one to end, or as long as `Retry-After` says.",
        429,
    ),
    "scope_missing": code(
        "The key is known and may not do this; `scope` names what it lacks.",
        "Use a key that has the scope, or ask the operator for one.",
        403,
    ),
    "cross_site": code(
        "A browser sent its session along with a request that another site's page made.",
        "Open the gate's own page, or send a key as `Authorization: Bearer`.",
        403,
    ),
    "loopback_only": code(
        "The gate has no keys, so it answers only its own machine, under a loopback name.",
        "Call it as `localhost`, or have the operator configure `SAFELORA_ACCESS__KEYS`.",
        403,
    ),
    "not_found": code(
        "There is nothing at this address.",
        "Compare the path with the API description at `/docs`.",
        404,
    ),
    "method_not_allowed": code(
        "The address does not take this method.", "See the `Allow` header for those it takes.", 405
    ),
    "http_error": code(
        "The request is no HTTP that the gate understands.", "Mend the request; see `detail`.", 400
    ),
    "client_disconnected": code(
        "The request ended before its body did.", "Send the request again.", 400
    ),
    "request_timeout": code(
        "Nothing of the body came for half a minute.", "Send the request again.", 408
    ),
    "body_empty": code(
        "The request has no body.", "Send the adapter's files as multipart/form-data.", 400
    ),
    "json_invalid": code(
        "The body is not strict JSON: no NaN, no member twice, UTF-8.",
        "Mend the place that `detail` names.",
        400,
    ),
    "unsupported_media_type": code(
        "The body has another `Content-Type` than the operation takes.",
        "Send application/json, or multipart/form-data for files.",
        415,
    ),
    "too_large": code(
        "The body is larger than is accepted here; `limit` is the number of bytes that are.",
        "Save the adapter in 16 bits, or ask the operator to raise the limit.",
        413,
    ),
    "validation_failed": code(
        "A field of the body, the query or a header does not have the form asked for; `problems`"
        " names each `field` and `why`.",
        "Mend the fields that are named.",
        422,
    ),
    "idempotency_key_invalid": code(
        "The `Idempotency-Key` is not 1 to 255 printable characters.", "Send a UUID.", 422
    ),
    "idempotency_key_reused": code(
        "The `Idempotency-Key` stands for another request already.",
        "Send a new key, or the first request unchanged.",
        422,
    ),
}
