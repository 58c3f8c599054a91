"""Who is let in: signatures as their senders make them, and nothing else."""

import base64
import binascii
import hashlib
import hmac
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError
from starlette.datastructures import Headers

from app.hooks.verify import MAX_SIGNATURES, TOLERANCE_SECONDS, verifier
from core.errors import Unauthorized
from core.settings import HookRule
from tests.app.senders import SECRET, SECRETS, SENDERS, TOKEN, WHSEC, mlflow, standard, wandb

BODY = b'{"type": "fine_tuning.job.succeeded", "data": {"id": "ftjob-1"}}'
OTHER = "whsec_" + base64.b64encode(b"another secret of 24 bytes").decode()
SIGNED = {"standard": standard, "mlflow": mlflow}


def rule(kind: str, **more: Any) -> HookRule:
    place = "prefix" if kind == "s3" else "adapter"
    return HookRule(**{**SECRETS[kind], place: "s3://ft-outputs/in/", **more})


def code(
    kind: str,
    headers: list[tuple[str, str]] | dict[str, str],
    body: bytes = BODY,
    now: float = 0,
    **more: Any,
) -> str | None:
    """None where the event is let in."""
    pairs = headers.items() if isinstance(headers, dict) else headers
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs]
    try:
        verifier(rule(kind, **more))(Headers(raw=raw), body, now or time.time())
    except Unauthorized as error:
        return error.code
    return None


@pytest.mark.parametrize("kind", SENDERS)
def test_each_sender_is_let_in(kind: str) -> None:
    """With the headers that it sends."""
    assert code(kind, SENDERS[kind](BODY)) is None


@pytest.mark.parametrize("kind", SENDERS)
def test_without_each_of_its_headers_nobody_is(kind: str) -> None:
    """Nor where one comes twice: two readers might take different ones."""
    sent = SENDERS[kind](BODY)
    for name in sent:
        others = [(key, value) for key, value in sent.items() if key != name]
        assert code(kind, others) == "hook_signature_invalid"
        assert code(kind, [*sent.items(), (name, sent[name])]) == "hook_signature_invalid"


@pytest.mark.parametrize("kind", SENDERS)
@given(data=st.data())
def test_no_changed_header_passes(kind: str, data: st.DataObject) -> None:
    """A letter more, less or other, in any of them."""
    sent = SENDERS[kind](BODY)
    name = data.draw(st.sampled_from(sorted(sent)))
    value = sent[name]
    at = data.draw(st.integers(0, len(value) - 1))
    letter = data.draw(st.sampled_from([chr(n) for n in range(33, 256)] + [""]))
    changed = value[:at] + letter + value[at + data.draw(st.integers(0, 1)) :]
    if _meaning(name, changed) != _meaning(name, value):
        assert code(kind, {**sent, name: changed}) == "hook_signature_invalid"


def _meaning(name: str, value: str) -> str:
    """Of the scheme alone the case says nothing (RFC 9110)."""
    scheme, space, token = value.partition(" ")
    return scheme.lower() + space + token if name == "Authorization" else value


@pytest.mark.parametrize("kind", ["standard", "mlflow", "wandb"])
@given(body=st.binary(max_size=200))
def test_no_other_body_passes(kind: str, body: bytes) -> None:
    """The signature is over the bytes as they came."""
    found = code(kind, SENDERS[kind](BODY), body)
    assert found == (None if body == BODY else "hook_signature_invalid")


@pytest.mark.parametrize("kind", SIGNED)
@given(late=st.integers(-(10**6), 10**6))
def test_old_and_future_events_are_refused(kind: str, late: int) -> None:
    """A signature is good for five minutes, to either side."""
    now = 1_795_800_000
    wanted = None if abs(late) <= TOLERANCE_SECONDS else "hook_timestamp_outside"
    assert code(kind, SIGNED[kind](BODY, at=now - late), now=now) == wanted


@pytest.mark.parametrize("kind", SIGNED)
def test_times_cannot_be_moved_between_the_fields(kind: str) -> None:
    """`a.1` and `5` sign the same bytes as `a` and `1.5` would: only whole seconds are times."""
    now = int(time.time())
    sent = SIGNED[kind](BODY, event_id=f"evt.{now}", at=now)
    identity, moment, _ = sent
    moved = {**sent, identity: "evt", moment: f"{now}.{now}"}
    assert code(kind, moved) == "hook_signature_invalid"


@pytest.mark.parametrize(
    "signature",
    [
        "",
        " ",
        "v1",
        "v1,",
        ",",
        "v1,===",
        "v1,%%%",
        "v1,\u00e9\u00ff",
        "v2,{mac}",
        "v1a,{mac}",
        "V1,{mac}",
        "v1,{mac},",
        "v1, {mac}",
        "{mac}",
        "v1,{mac}=",
        "v1,\t{mac}",
        "v1,!{mac}",
        " ".join(["v1,x"] * MAX_SIGNATURES) + " v1,{mac}",
    ],
)
def test_malformed_signatures_are_refused(signature: str) -> None:
    """Where a lenient reader of base64 would find the signature, too."""
    sent = standard(BODY)
    mac = sent["webhook-signature"].removeprefix("v1,")
    sent["webhook-signature"] = signature.format(mac=mac)
    assert code("standard", sent) == "hook_signature_invalid"


def test_one_of_several_signatures_is_enough() -> None:
    """As a sender sends them while its secret is changed."""
    sent = standard(BODY)
    mine = sent["webhook-signature"]
    sent["webhook-signature"] = f"v1a,abc v1,AAAA {mine}"
    assert code("standard", sent) is None


@pytest.mark.parametrize("kind", SENDERS)
def test_either_secret_is_good_while_it_is_changed(kind: str) -> None:
    """And no third one."""
    new = OTHER if kind == "standard" else "another-secret-of-hooks"
    both: dict[str, Any] = {"secret": None, "secrets": [new, SECRETS[kind]["secret"]]}
    assert code(kind, SENDERS[kind](BODY), **both) is None
    assert code(kind, SENDERS[kind](BODY), secret=new) == "hook_signature_invalid"


def test_wandb_may_send_either_or_both() -> None:
    """What is configured has to fit, whatever else is sent."""
    both = wandb(BODY)
    assert code("wandb", {"Authorization": f"Bearer {TOKEN}"}, secret=None) is None
    assert code("wandb", both, token=None) is None
    mac = hmac.new(SECRET.encode(), BODY, hashlib.sha256).digest()
    spelled = {**both, "X-Wandb-Signature": base64.b64encode(mac).decode()}
    assert code("wandb", spelled) is None
    assert code("wandb", {**both, "Authorization": "Bearer x"}) == "hook_signature_invalid"
    assert code("wandb", {**both, "X-Wandb-Signature": SECRET}) == "hook_signature_invalid"


def test_a_bucket_may_have_a_header_of_its_own() -> None:
    """For stores that send the secret bare."""
    header: dict[str, Any] = {"header": "X-Store-Secret"}
    assert code("s3", {"x-store-secret": SECRET}, **header) is None
    assert code("s3", {"authorization": f"Bearer {SECRET}"}, **header) == "hook_signature_invalid"
    assert code("eventbridge", {"x-store-secret": SECRET}, **header) is None


TEXT = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40)


@given(
    body=st.text(max_size=100),
    event_id=TEXT.filter(bool),
    late=st.integers(-600, 600),
    key=st.binary(min_size=24, max_size=64),
)
def test_what_their_library_signs_is_let_in(
    body: str, event_id: str, late: int, key: bytes
) -> None:
    """For any secret, id and body; and refused by both where it is too old."""
    secret = "whsec_" + base64.b64encode(key).decode()
    now = int(time.time())
    at = now - late + (1 if abs(abs(late) - 300) < 3 else 0) * 10  # not on the edge: time goes on
    sent = standard(body.encode(), event_id=event_id, at=at, secret=secret)
    assert (code("standard", sent, body.encode(), secret=secret) is None) == theirs(
        secret, sent, body.encode()
    )


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "webhook-id": TEXT,
            "webhook-timestamp": st.one_of(TEXT, st.integers(-5, 2**40).map(str)),
            "webhook-signature": st.one_of(
                TEXT,
                st.lists(st.tuples(st.sampled_from(["v1", "v2", ""]), TEXT), max_size=4).map(
                    lambda pairs: " ".join(",".join(pair) for pair in pairs)
                ),
            ),
        },
    ),
    st.booleans(),
)
def test_nothing_is_let_in_that_their_library_refuses(
    changed: dict[str, str], unsigned: bool
) -> None:
    """Whatever stands in the headers, and none of it is an error of ours."""
    sent = {**({} if unsigned else standard(BODY)), **changed}
    if code("standard", sent) is None:
        assert theirs(WHSEC, sent, BODY)


def theirs(secret: str, sent: dict[str, str], body: bytes) -> bool:
    """Whether the library of Standard Webhooks lets it in; what is malformed makes it fall over."""
    try:
        Webhook(secret).verify(body, sent, json_parse=False)
    except (WebhookVerificationError, ValueError, binascii.Error):
        return False
    return True
