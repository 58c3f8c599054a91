"""Uploads that are sent ahead of their job, and places that results are brought to."""

from core.codes.code import Code, code

UPLOADS: dict[str, Code] = {
    "upload_not_found": code(
        "There is no such upload, it is another tenant's, or it has expired.",
        "Announce it again with `POST /v1/uploads`.",
        404,
    ),
    "upload_invalid": code(
        "The files announced are no adapter's, or one is there twice.",
        "Announce weights and config, or one archive.",
        422,
    ),
    "upload_too_large": code(
        "The files announced are larger than is accepted; `limit` is the number of bytes that are.",
        "Save the adapter in 16 bits, or ask the operator to raise the limit.",
        413,
    ),
    "upload_incomplete": code(
        "Not all of the upload is there.", "Send what `GET /v1/uploads/{id}` says is missing.", 409
    ),
    "upload_changed": code(
        "The upload was changed while the job was made of it.", "Send the request again.", 409
    ),
    "upload_size_mismatch": code(
        "A file has another size than was announced.", "Announce and send it again.", 422
    ),
    "upload_checksum_mismatch": code(
        "A file has another SHA-256 than was announced.", "Announce and send it again.", 422
    ),
}

DESTINATIONS: dict[str, Code] = {
    "destination_invalid": code(
        "`destination` is no place of the form s3://bucket/folder/.", "End it with a slash.", 422
    ),
    "destination_not_allowed": code(
        "The operator does not allow this tenant's results to be brought there.",
        "Ask the operator to allow the folder (the setting is in `detail`).",
        403,
    ),
    "destination_without_adapter": code(
        "The policy only scores, so there will be no adapter to bring.",
        "Leave `destination` out, or choose another `selection`.",
        422,
    ),
}

DELIVERIES: dict[str, Code] = {
    "destination_taken": code(
        "Something else lies where a file of the result was to be brought; nothing of it was"
        " written over.",
        "Post the adapter again with a folder of its own.",
    ),
    "destination_unwritable": code(
        "The store refuses to take the result there.",
        "Let the gate write there, then retry the job.",
    ),
    "destination_unavailable": code("The store there does not answer.", "Retry the job later."),
    "output_changed": code(
        "A stored file of the result is not the one that was committed.",
        "Check the store, then post the adapter again.",
    ),
}
"""Why a result was not brought."""
