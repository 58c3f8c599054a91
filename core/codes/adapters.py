"""What is wrong with the way an adapter is sent: its parts, its archive, the place it lies at."""

from core.codes.code import Code, code

PARTS: dict[str, Code] = {
    "multipart_invalid": code(
        "The multipart body is damaged, or a part of it has no name.",
        "Have a library or curl's `-F` make the body.",
        400,
    ),
    "multipart_truncated": code(
        "The body ends before its last boundary.", "Send the request again, to its end.", 400
    ),
    "part_unknown": code(
        "A part has a name that the operation does not know.",
        "Use the names that `detail` lists.",
        422,
    ),
    "part_duplicate": code("A part is there twice.", "Send the part named in `field` once.", 422),
    "part_missing": code(
        "One of `adapter` and `config` is missing.", "Send both, or `archive` alone.", 422
    ),
    "part_conflict": code(
        "`archive` was sent beside `adapter` or `config`.", "Send the one or the others.", 422
    ),
    "part_empty": code("A file has no bytes.", "Send the part named in `field` again.", 422),
    "part_invalid": code("A text part is not UTF-8.", "Send the text as UTF-8.", 422),
    "adapter_rejected": code(
        "The header of the weights is wrong, as the first bytes of the upload tell; `findings` says"
        " how ([findings.md](findings.md)). What is found later ends the job as `rejected`.",
        "Mend the adapter as its findings say.",
        422,
    ),
    "part_too_large": code(
        "One part is larger than is accepted for it; `field` and `limit` say which, and how many"
        " bytes are.",
        "Send less: a config has a few kilobytes.",
        413,
    ),
    "metadata_invalid": code(
        "`metadata` is no JSON object of at most 64 texts.",
        'Send an object as `{"run": "ft-2041"}`, names up to 64 characters and values up to 1024.',
        422,
    ),
}

ARCHIVES: dict[str, Code] = {
    "archive_format_unsupported": code(
        "The archive is no .zip, .tar, .tar.gz or .tar.zst, or packed in a way that is not read.",
        "Pack the files as a plain .zip or .tar.gz.",
        422,
    ),
    "archive_unreadable": code(
        "The archive is damaged or was cut off.", "Pack and send it again.", 422
    ),
    "archive_empty": code("The archive holds no file.", "Put the adapter's files in it.", 422),
    "archive_nested": code(
        "The adapter's files lie in several folders.",
        "Pack one folder with the two files in it.",
        422,
    ),
    "archive_duplicate": code(
        "Two members have the same name, for some file system.", "Pack each file once.", 422
    ),
    "archive_unsafe_path": code(
        "A member's name climbs out of the archive, is absolute or cannot be read.",
        "Pack plain relative names.",
        422,
    ),
    "archive_link": code("A member is a link.", "Pack the file itself.", 422),
    "archive_special_file": code("A member is no plain file.", "Pack plain files only.", 422),
    "archive_encrypted": code("A member is encrypted.", "Pack it without a password.", 422),
    "archive_too_many_members": code(
        "The archive has more members than are read.", "Pack the adapter's files only.", 422
    ),
    "archive_bomb": code(
        "Unpacked, it is larger than is accepted, or than it says.",
        "Pack the adapter's files only; ask the operator about the limit.",
        422,
    ),
}

SOURCES: dict[str, Code] = {
    "source_invalid": code(
        "`source`, `base` or `aligned` is no place of the form asked for.",
        "Give it as `detail` has it.",
        422,
    ),
    "source_not_allowed": code(
        "The operator does not allow the gate to read from there, whether anything lies there or"
        " not.",
        "Ask the operator to allow the folder (the setting is in `detail`), or upload the files.",
        403,
    ),
    "source_not_found": code(
        "Nothing lies at the source.", "Check bucket, key and last slash, or the path.", 422
    ),
    "source_unreadable": code(
        "The source refuses the gate.", "Ask its owner to let the gate read it.", 422
    ),
    "source_not_flat": code(
        "The source holds folders, or too many files.",
        "Put the adapter's files in a folder of their own.",
        422,
    ),
    "source_changed": code(
        "What lay at the source was replaced after the job was accepted.",
        "Post the job again.",
        422,
    ),
    "source_too_large": code(
        "What lies at the source is larger than is accepted.",
        "Save the adapter in 16 bits, or ask the operator to raise the limit.",
        413,
    ),
    "source_unavailable": code(
        "The source does not answer. A job or a build that met it is tried again first.",
        "Send the request again later.",
        503,
    ),
}
