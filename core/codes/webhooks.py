"""Webhooks: where ends of jobs are told, and events that come in."""

from core.codes.code import Code, code

WEBHOOKS: dict[str, Code] = {
    "webhooks_disabled": code(
        "This gate tells nobody how jobs end.",
        "Ask for the job with `?wait=30`, or follow its events.",
        403,
    ),
    "webhook_secret_missing": code(
        "The tenant has no secret yet that what is told is signed with.",
        "`POST /v1/webhooks/secret` makes one; then send the request again.",
        404,
        409,
    ),
    "webhook_limit": code(
        "The tenant has as many webhooks as it may; `limit` is their number.", "Remove one.", 409
    ),
    "webhook_not_found": code(
        "There is no such webhook, or it is another tenant's.", "See `GET /v1/webhooks`.", 404
    ),
    "url_invalid": code(
        "The URL in `field` is none that is ever called.", "Mend what `detail` names.", 422
    ),
    "url_not_allowed": code(
        "The URL in `field` is no public https address on port 443, nor on the operator's list.",
        "Give one that is, or have the operator list it in `SAFELORA_WEBHOOKS__ALLOW`.",
        403,
    ),
    "delivery_not_found": code(
        "The job has no such delivery.", "See `GET /v1/jobs/{id}/deliveries`.", 404
    ),
    "delivery_due": code(
        "An attempt of this delivery is about to be made, or under way.",
        "Look at it again in a minute.",
        409,
    ),
}

HOOKS: dict[str, Code] = {
    "hook_not_found": code(
        "No sender of this name is set up.", "Compare it with `SAFELORA_HOOKS`.", 404
    ),
    "hook_signature_invalid": code(
        "The event is not signed as this sender's events are.",
        "Check the secret on both sides.",
        401,
    ),
    "hook_timestamp_outside": code(
        "The event is well signed, and older or newer than five minutes.",
        "Have it sent again, and check both clocks.",
        401,
    ),
    "hooks_busy": code(
        "So many large events are being sent at once that there is no room for this one.",
        "Wait as long as `Retry-After` says.",
        429,
    ),
    "hook_event_invalid": code(
        "The event is not of the form that this kind of sender sends.",
        "Compare the rule's `kind` with the sender.",
        422,
    ),
    "hook_event_reused": code(
        "The event's id stands for another event already.",
        "Have the sender give each event an id of its own.",
        422,
    ),
    "hook_field_missing": code(
        "The event lacks a field that the rule takes something from.",
        "Compare the rule's templates with the event.",
        422,
    ),
    "hook_value_invalid": code(
        "A field of the event cannot stand where the rule puts it.",
        "Have the sender use plain names.",
        422,
    ),
}

ATTEMPTS: dict[str, Code] = {
    "name_not_resolved": code(
        "The receiver's name has no address.", "Mend the URL or the name's records."
    ),
    "address_not_allowed": code(
        "The receiver's name leads to an address that is not on the public internet.",
        "Give a public one, or have the operator list it in `SAFELORA_WEBHOOKS__ALLOW`.",
    ),
    "connect_failed": code("Nobody listens at the receiver's address.", "Start the receiver."),
    "tls_failed": code(
        "The receiver speaks no TLS, or shows a certificate that is not trusted for its name.",
        "Mend its certificate.",
    ),
}
"""Why an attempt to tell was in vain."""
