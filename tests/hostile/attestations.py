"""Forgeries: downloaded folders that were changed, and attestations that were. One line on what
each one tries, and the code that it is told by."""

import base64
import copy
import json
import os
from typing import Final

from core.policy import Policy, parse_policy
from core.store.layout import ADAPTER_CONFIG, ADAPTER_MODEL, ATTESTATION, REPORT_JSON
from tests.attested import report, sign, statement_of
from tests.hostile.forging import (
    EC_KID,
    GATE,
    RETIRED,
    RSA_KID,
    STRANGER,
    Forgery,
    by,
    envelope,
    huge,
    link,
    loose_bits,
    many,
    no_choice,
    payload_of_a_weaker_one,
    pipe,
    policy_fields,
    raw,
    remove,
    scored,
    signature,
    signed,
    spaced,
    subject,
    swap,
    two_strangers,
    write,
)

IN_THE_FOLDER: Final = [
    Forgery(
        "other weights", "load what was never sanitized", swap(ADAPTER_MODEL), "digest_differs"
    ),
    Forgery("another config", "scale the update up", swap(ADAPTER_CONFIG), "digest_differs"),
    Forgery("another report", "tell another story", swap(REPORT_JSON), "digest_differs"),
    Forgery("longer weights", "add a tensor", write(ADAPTER_MODEL, bytes(99)), "size_differs"),
    Forgery("huge weights", "hold the verifier up", huge(ADAPTER_MODEL), "size_differs"),
    Forgery("no weights", "have another file loaded", remove(ADAPTER_MODEL), "file_missing"),
    Forgery("no config", "have defaults loaded", remove(ADAPTER_CONFIG), "file_missing"),
    Forgery(
        "symlink", "change it later", link(ADAPTER_MODEL, lambda a, b: b.symlink_to(a)), "symlink"
    ),
    Forgery("hard link", "change it later", link(ADAPTER_MODEL, os.link), "hard_link"),
    Forgery(
        "linked page",
        "read another's",
        lambda f: (f / "report.html").symlink_to("/etc/passwd"),
        "symlink",
    ),
    Forgery(
        "linked attestation",
        "read another's",
        link(ATTESTATION, lambda a, b: b.symlink_to(a)),
        "symlink",
    ),
    Forgery("a folder as page", "hide files", lambda f: (f / "report.html").mkdir(), "not_a_file"),
    Forgery("a pipe", "hold the verifier up", pipe, "not_a_file"),
    Forgery(
        "a pickle", "have it loaded instead", write("adapter_model.bin", b"x"), "file_not_attested"
    ),
    Forgery("code", "have it imported", write("modeling_evil.py", b"x"), "file_not_attested"),
    Forgery(
        "a tokenizer",
        "carry a template",
        write("tokenizer_config.json", b"{}"),
        "file_not_attested",
    ),
    Forgery(
        "embeddings",
        "be loaded by vLLM",
        write("new_embeddings.safetensors", b"x"),
        "file_not_attested",
    ),
    Forgery("a hidden file", "be overlooked", write(".cache", b"x"), "file_not_attested"),
    Forgery(
        "a subfolder", "hold another adapter", lambda f: (f / "other").mkdir(), "file_not_attested"
    ),
    Forgery(
        "a name that is no text",
        "break whoever prints it",
        write("x\udcff.bin", b"x"),
        "file_not_attested",
    ),
    Forgery(
        "escapes in a name", "clear the terminal", write("x\x1b[2J.bin", b"x"), "file_not_attested"
    ),
    Forgery(
        "case of a name",
        "be the one that is found",
        write("Adapter_Model.safetensors", b"x"),
        "case_variant",
    ),
    Forgery(
        "case of its name",
        "be the one that is read",
        write("ATTESTATION.json", b"{}"),
        "case_variant",
    ),
]

IN_THE_ENVELOPE: Final = [
    Forgery("none", "do without", remove(ATTESTATION), "attestation_missing"),
    Forgery("huge", "hold the verifier up", huge(ATTESTATION), "attestation_too_large"),
    Forgery("cut off", "have half of it read", raw(lambda d: d[:-9]), "attestation_not_json"),
    Forgery(
        "not a number",
        "be no JSON",
        raw(lambda d: d.replace(b"{", b'{"x":NaN,', 1)),
        "attestation_not_json",
    ),
    Forgery(
        "nested deeply",
        "crash the parser",
        write(ATTESTATION, b"[" * 99_999),
        "attestation_not_json",
    ),
    Forgery(
        "a key twice",
        "be read in two ways",
        raw(lambda d: d.replace(b"{", b'{"payload":"",', 1)),
        "attestation_duplicate_key",
    ),
    Forgery("a list", "be no envelope", write(ATTESTATION, b"[]"), "envelope_invalid"),
    Forgery("unsigned", "need no key", envelope(signatures=[]), "envelope_invalid"),
    Forgery(
        "no signatures at all",
        "need no key",
        raw(lambda d: d.replace(b"signatures", b"signed", 1)),
        "envelope_invalid",
    ),
    Forgery("a thousand signatures", "hold the verifier up", many, "envelope_invalid"),
    Forgery("number for a signature", "confuse types", signature(sig=1), "envelope_invalid"),
    Forgery("line break in base64", "be decoded by some only", spaced, "base64_invalid"),
    Forgery("loose bits in base64", "be two texts of one value", loose_bits, "base64_invalid"),
    Forgery("no base64", "be decoded by some only", envelope(payload="{}"), "base64_invalid"),
    Forgery("padding left out", "be decoded by some only", signature(sig="AAA"), "base64_invalid"),
    Forgery(
        "payload swapped",
        "claim a stronger policy, or a weaker",
        payload_of_a_weaker_one,
        "signature_invalid",
    ),
    Forgery(
        "type swapped",
        "be read as something else",
        envelope(payloadType="text/plain"),
        "signature_invalid",
    ),
    Forgery(
        "signature of zeros",
        "pass by luck",
        signature(sig=base64.b64encode(bytes(64)).decode()),
        "signature_invalid",
    ),
    Forgery("empty signature", "pass by luck", signature(sig=""), "signature_invalid"),
    Forgery(
        "another's key id",
        "be tried with another key",
        signature(keyid=RETIRED.public.id),
        "signature_invalid",
    ),
    Forgery("a stranger's", "sign with a key of one's own", by(STRANGER), "key_unknown"),
    Forgery("two strangers'", "pass by number", two_strangers, "key_unknown"),
    Forgery("nobody's key id", "find no key", signature(keyid="nobody"), "key_unknown"),
    Forgery("a retired key's", "use a stolen key", by(RETIRED), "key_retired"),
    Forgery("an EC key's id", "have another algorithm used", signature(keyid=EC_KID), "key_type"),
    Forgery("an RSA key's id", "have another algorithm used", signature(keyid=RSA_KID), "key_type"),
]

IN_THE_STATEMENT: Final = [
    Forgery(
        "another type",
        "pass off what the key signed elsewhere",
        lambda f: sign(f, GATE, statement_of(report()), "text/plain"),
        "payload_type",
    ),
    Forgery("no JSON", "be read by some only", lambda f: sign(f, GATE, b"{"), "statement_not_json"),
    Forgery(
        "key twice",
        "be read in two ways",
        lambda f: sign(f, GATE, b'{"_type":"a","_type":"b"}'),
        "statement_not_json",
    ),
    Forgery("a list", "be no statement", lambda f: sign(f, GATE, b"[]"), "statement_invalid"),
    Forgery(
        "another statement",
        "be of an older kind",
        signed(lambda s: s.update(_type="https://in-toto.io/Statement/v0.1")),
        "statement_type",
    ),
    Forgery(
        "another predicate",
        "state something else",
        signed(lambda s: s.update(predicateType="https://slsa.dev/provenance/v1")),
        "predicate_type",
    ),
    Forgery(
        "no policy",
        "leave out what was done",
        signed(lambda s: s["predicate"].pop("policy")),
        "predicate_invalid",
    ),
    Forgery(
        "a policy that nobody knows",
        "say what is not understood",
        signed(policy_fields),
        "predicate_invalid",
    ),
    Forgery("nothing chosen", "pass any floor", signed(no_choice), "predicate_invalid"),
    Forgery("scored", "attest what was never published", signed(scored), "predicate_invalid"),
    Forgery(
        "weights not covered",
        "leave the weights open",
        signed(lambda s: s["subject"].pop(1)),
        "subject_missing",
    ),
    Forgery(
        "report not covered",
        "leave the report open",
        signed(lambda s: s["subject"].pop(2)),
        "subject_missing",
    ),
    Forgery(
        "one more",
        "cover a file of one's own",
        signed(lambda s: s["subject"].append({**s["subject"][0], "name": "adapter_model.bin"})),
        "subject_unexpected",
    ),
    Forgery(
        "one twice",
        "be two values of one name",
        signed(lambda s: s["subject"].append(copy.deepcopy(s["subject"][0]))),
        "subject_twice",
    ),
    Forgery(
        "a path",
        "reach out of the folder",
        signed(subject(0, name="../adapter_config.json")),
        "subject_name",
    ),
    Forgery(
        "an absolute path",
        "reach out of the folder",
        signed(subject(0, name="/etc/passwd")),
        "subject_name",
    ),
    Forgery(
        "only an MD5",
        "be forged by collision",
        signed(subject(0, digest={"md5": "0" * 32})),
        "subject_digest",
    ),
    Forgery(
        "a digest in capitals",
        "be compared by some only",
        signed(subject(0, digest={"sha256": "A" * 64})),
        "subject_digest",
    ),
]

FORGERIES: Final = [*IN_THE_FOLDER, *IN_THE_ENVELOPE, *IN_THE_STATEMENT]

WEAKER: Final[list[tuple[str, Policy]]] = [
    (name, parse_policy(json.dumps(fields).encode()))
    for name, fields in {
        "a lower threshold": {"selection": {"threshold": 0.1}},
        "half strength": {"strength": 0.5},
        "another method": {"method": "subspace", "rank": 4},
        "extras stripped": {"extras": {"default": "strip"}},
        "a wider cap": {"caps": {"rank": 1024}},
    }.items()
]
