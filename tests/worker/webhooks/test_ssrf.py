"""Tries to have the gate call a machine that is not on the public internet: none gets anywhere.

The table is kept as evidence: each entry says what it tries.
"""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import RequestError
from core.settings import WebhookSettings
from core.webhooks.addresses import is_public, read_address
from core.webhooks.urls import check_url
from tests.worker.webhooks.network import Names, NoNetwork
from tests.worker.webhooks.receiver import receiving
from worker.webhooks.sender import Sender

PUBLIC = "93.184.215.14"
INVALID, FORBIDDEN = "url_invalid", "url_not_allowed"


@dataclass(frozen=True)
class Try:
    """`code`: how it is refused when it is posted; None: it looks well, and is found out when its
    name is resolved to `answers`."""

    what: str
    url: str
    code: str | None = None
    answers: tuple[str, ...] = ()


def name(what: str, *answers: str) -> Try:
    return Try(what, "https://hooks.attacker.example/", None, answers)


TRIES = [
    Try("plain http", "http://hooks.example/", FORBIDDEN),
    Try("another scheme", "file:///etc/passwd", INVALID),
    Try("a scheme of old servers", "gopher://127.0.0.1:6379/_FLUSHALL", INVALID),
    Try("no scheme", "//hooks.example/", INVALID),
    Try("the port of Redis", "https://hooks.example:6379/", FORBIDDEN),
    Try("the port of SSH", "https://hooks.example:22/", FORBIDDEN),
    Try("port 80 with TLS", "https://hooks.example:80/", FORBIDDEN),
    Try("a port past the last", "https://hooks.example:65979/", INVALID),
    Try("a port with a sign", "https://hooks.example:+443/", INVALID),
    Try("a port of zeros", "https://hooks.example:00443/", INVALID),
    Try("an empty port", "https://hooks.example:/", INVALID),
    Try("loopback", "https://127.0.0.1/", FORBIDDEN),
    Try("another loopback address", "https://127.8.8.8/", FORBIDDEN),
    Try("the address of this host", "https://0.0.0.0/", FORBIDDEN),
    Try("a private network", "https://10.0.0.5/", FORBIDDEN),
    Try("a home network", "https://192.168.1.1/", FORBIDDEN),
    Try("a carrier's network", "https://100.64.0.1/", FORBIDDEN),
    Try("metadata of clouds", "https://169.254.169.254/latest/meta-data/", FORBIDDEN),
    Try("metadata in plain http", "http://169.254.169.254/latest/meta-data/", FORBIDDEN),
    Try("metadata of containers", "https://169.254.170.2/v2/credentials", FORBIDDEN),
    Try("metadata of another cloud", "https://192.0.0.192/opc/v2/", FORBIDDEN),
    Try("metadata of another cloud", "https://100.100.100.200/", FORBIDDEN),
    Try("a cloud's own services, at a public address", "https://168.63.129.16/", FORBIDDEN),
    Try("metadata by name", "https://metadata.google.internal/", FORBIDDEN),
    Try("multicast", "https://224.0.0.251/", FORBIDDEN),
    Try("broadcast", "https://255.255.255.255/", FORBIDDEN),
    Try("loopback as one number", "https://2130706433/", INVALID),
    Try("loopback in hexadecimal", "https://0x7f000001/", INVALID),
    Try("loopback in hexadecimal, dotted", "https://0x7f.0x0.0x0.0x1/", INVALID),
    Try("loopback in octal", "https://0177.0.0.1/", INVALID),
    Try("loopback in octal, one number", "https://017700000001/", INVALID),
    Try("loopback, shortened", "https://127.1/", INVALID),
    Try("zero, shortened", "https://0/", INVALID),
    Try("metadata as one number", "https://2852039166/", INVALID),
    Try("a number too large for an address", "https://256.256.256.256/", INVALID),
    Try("an address with a dot behind it", "https://127.0.0.1./", INVALID),
    Try("loopback in IPv6", "https://[::1]/", FORBIDDEN),
    Try("no address in IPv6", "https://[::]/", FORBIDDEN),
    Try("loopback, mapped", "https://[::ffff:127.0.0.1]/", FORBIDDEN),
    Try("loopback, mapped, in hexadecimal", "https://[::ffff:7f00:1]/", FORBIDDEN),
    Try("loopback, compatible", "https://[::127.0.0.1]/", FORBIDDEN),
    Try("loopback behind NAT64", "https://[64:ff9b::7f00:1]/", FORBIDDEN),
    Try("loopback behind a NAT64 of one's own", "https://[64:ff9b:1::7f00:1]/", FORBIDDEN),
    Try("loopback behind 6to4", "https://[2002:7f00:1::]/", FORBIDDEN),
    Try("loopback behind Teredo", "https://[2001:0:0:0:0:0:80ff:fffe]/", FORBIDDEN),
    Try("a link", "https://[fe80::1]/", FORBIDDEN),
    Try("a link with its zone", "https://[fe80::1%25eth0]/", INVALID),
    Try("a public address with a zone", "https://[2606:4700::1111%eth0]/", INVALID),
    Try("a private network in IPv6", "https://[fd00:ec2::254]/", FORBIDDEN),
    Try("multicast in IPv6", "https://[ff02::1]/", FORBIDDEN),
    Try("brackets that do not close", "https://[::1/", INVALID),
    Try("an IPv4 address in brackets", "https://[127.0.0.1]/", INVALID),
    Try("localhost", "https://localhost/", FORBIDDEN),
    Try("localhost in capitals", "https://LOCALHOST/", FORBIDDEN),
    Try("localhost with a dot behind it", "https://localhost./", INVALID),
    Try("a name under localhost", "https://app.localhost/", FORBIDDEN),
    Try("a name of the operator's network", "https://intranet/", FORBIDDEN),
    Try("a name of a cluster", "https://api.default.svc.cluster.local/", FORBIDDEN),
    Try("a public name with a dot behind it", "https://hooks.example./", INVALID),
    Try("two dots", "https://hooks..example/", INVALID),
    Try("a user name that looks like the host", "https://hooks.example@127.0.0.1/", INVALID),
    Try("a user name and a password", "https://a:b@hooks.example/", INVALID),
    Try("an @ that is escaped", "https://hooks.example%40127.0.0.1/", INVALID),
    Try("a backslash for a slash", "https://127.0.0.1\\@hooks.example/", INVALID),
    Try("a fragment that hides a host", "https://hooks.example#@127.0.0.1/", INVALID),
    Try("a header more", "https://hooks.example/\r\nX-Evil: 1", INVALID),
    Try("a request more", "https://hooks.example/ HTTP/1.1\r\nHost: a\r\n\r\nGET /", INVALID),
    Try("a line break in the host", "https://hooks.example\r\n.evil.example/", INVALID),
    Try("a tab that some readers drop", "https://127.0\t.0.1/", INVALID),
    Try("a null byte", "https://hooks.example\x00.evil.example/", INVALID),
    Try("digits in circles, which become others", "https://①②⑦.⓪.⓪.①/", INVALID),
    Try("an ideographic full stop", "https://127。0。0。1/", INVALID),
    Try("letters that are not ASCII", "https://bücher.example/", INVALID),
    Try("a percent-encoded host", "https://%31%32%37.0.0.1/", INVALID),
    Try("nothing", "", INVALID),
    Try("a label that is too long", f"https://{'a' * 64}.example/", INVALID),
    name("a name for loopback", "127.0.0.1"),
    name("a name for a private network", "10.1.2.3"),
    name("a name for metadata", "169.254.169.254"),
    name("a name for loopback in IPv6", "::1"),
    name("a name for a mapped address", "::ffff:10.0.0.1"),
    name("a name for a public address, mapped", f"::ffff:{PUBLIC}"),
    name("a name for NAT64", "64:ff9b::a00:1"),
    name("a name for 6to4", "2002:a00:1::1"),
    name("a name for a link, with its zone", "fe80::1%lo"),
    name("a public address, and a private one after it", PUBLIC, "10.0.0.1"),
    name("a private address, and a public one after it", "10.0.0.1", PUBLIC),
    name("a private address among many", PUBLIC, "2606:4700::1111", "192.168.0.1", "8.8.8.8"),
    name("an answer that is no address", "localhost"),
    name("a dotted name of the address in it", "0x7f.1"),
]


@pytest.mark.parametrize("tried", TRIES, ids=lambda tried: f"{tried.what}: {tried.url}"[:80])
def test_no_try_gets_anywhere(tried: Try) -> None:
    """Refused when it is posted where it can be, and when it is sent in any case; nothing at all
    is connected to."""
    if tried.code is None:
        assert not check_url(tried.url, (), named="callback").listed
    else:
        with pytest.raises(RequestError) as refused:
            check_url(tried.url, (), named="callback")
        assert refused.value.code == tried.code
    network = NoNetwork()
    names = Names(list(tried.answers)) if tried.answers else Names()
    sender = Sender(WebhookSettings(), resolve=names, network=network)
    outcome = sender.send(tried.url, {}, b"{}")
    assert (outcome.status, network.asked) == (None, [])
    assert outcome.error == ("address_not_allowed" if tried.code is None else "url_not_allowed")


def test_a_name_that_answers_otherwise_the_next_time_is_connected_to_as_it_was_judged() -> None:
    """The address that was judged is the one that is connected to: the name is asked once."""
    names, network = Names([PUBLIC], ["127.0.0.1"]), NoNetwork()
    sender = Sender(WebhookSettings(), resolve=names, network=network)
    assert sender.send("https://rebind.example/", {}, b"{}").error == "connect_failed"
    assert (names.asked, network.asked) == (1, [f"{PUBLIC} 443"])
    assert sender.send("https://rebind.example/", {}, b"{}").error == "address_not_allowed"
    assert (names.asked, network.asked) == (2, [f"{PUBLIC} 443"])


def test_each_attempt_is_a_connection_of_its_own() -> None:
    """None is kept, so that none outlives its judgement."""
    with receiving() as receiver:
        sender = Sender(WebhookSettings(allow=[receiver.origin]))
        for _ in range(3):
            assert sender.send(receiver.url, {"webhook-id": "m"}, b"{}").error is None
        assert {sent.headers["connection"] for sent in receiver.got} == {"close"}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 300, 304])
def test_no_redirect_is_followed(status: int) -> None:
    """Not even to where the gate may go by itself."""
    with receiving() as target, receiving((status, {"Location": target.url})) as receiver:
        sender = Sender(WebhookSettings(allow=[receiver.origin, target.origin]))
        outcome = sender.send(receiver.url, {"webhook-id": "m"}, b"{}")
        assert (outcome.status, outcome.error) == (status, "redirect")
        assert target.got == []


def test_a_listed_name_is_resolved_once_too() -> None:
    """It may be private, and is connected to at the address that it had."""
    with receiving() as receiver:
        names = Names(["127.0.0.1"], ["10.0.0.1"])
        settings = WebhookSettings(allow=[f"http://hooks.internal:{receiver.port}"])
        sender = Sender(settings, resolve=names)
        outcome = sender.send(f"http://hooks.internal:{receiver.port}/a?b", {}, b"{}")
        assert (outcome.status, outcome.error, names.asked) == (200, None, 1)
        assert receiver.got[0].headers["host"] == f"hooks.internal:{receiver.port}"
        assert receiver.got[0].path == "/a?b"


def test_what_the_list_no_longer_has_is_not_sent() -> None:
    """A job may have waited for long."""
    with receiving() as receiver:
        outcome = Sender(WebhookSettings()).send(receiver.url, {}, b"{}")
        assert (outcome.error, receiver.got) == ("url_not_allowed", [])


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"])
def test_no_proxy_of_the_environment_is_used(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would resolve the name for itself."""
    with receiving() as proxy, receiving() as receiver:
        for name_ in (variable, variable.lower()):
            monkeypatch.setenv(name_, proxy.origin)
        sender = Sender(WebhookSettings(allow=[receiver.origin]))
        assert sender.send(receiver.url, {"webhook-id": "m"}, b"{}").status == 200
        assert (len(receiver.got), proxy.got) == (1, [])


@given(st.lists(st.ip_addresses().map(str), min_size=1, max_size=5))
def test_no_answer_leads_to_what_is_not_public(answers: list[str]) -> None:
    """Whatever a name resolves to: all of it is public, or nothing is connected to."""
    network = NoNetwork()
    sender = Sender(WebhookSettings(), resolve=Names(answers), network=network)
    sender.send("https://any.example/", {}, b"{}")
    reached = [entry.split()[0] for entry in network.asked]
    judged = [address for address in map(read_address, answers) if address is not None]
    assert reached == (answers[:4] if all(map(is_public, judged)) else [])
