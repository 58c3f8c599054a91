"""URLs are read in one way, strictly; other readers find the same host in what is accepted."""

from urllib.parse import urlsplit

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import RequestError
from core.settings import WebhookSettings
from core.webhooks.urls import Origin, check_url, parse_origin, parse_url

pieces = st.sampled_from(
    [
        *("https", "HTTP", "ftp", "://", ":", "/", "//", "?", "#", "@", "\\", "%", "%00", "%2f"),
        *(".", "..", "-", "[", "]", "::1", "0x7f", "127.0.0.1", "example", "Example.COM", "é"),
        *("xn--bcher-kva", ":443", ":8443", ":0", ":99999", "a", " ", "\r\n", "\t", "。", "①"),
    ]
)
urls = st.lists(pieces, max_size=8).map("".join) | st.lists(pieces, max_size=6).map(
    lambda rest: "https://" + "".join(rest)
)


@given(urls)
def test_other_readers_find_the_same_host(url: str) -> None:
    """What we judge is what anybody would connect to; what is refused says why."""
    try:
        origin, target = parse_url(url)
    except ValueError as error:
        assert str(error)
        return
    split, other = urlsplit(url), httpx2.URL(url)
    assert split.username is None
    assert origin.scheme == split.scheme == other.scheme
    assert origin.port == (split.port or {"http": 80, "https": 443}[origin.scheme])
    assert other.port in (None, origin.port)
    # They may keep another spelling of an IPv6 address.
    assert parse_url(f"https://{other.netloc.decode()}/")[0].host == origin.host
    assert target.startswith("/")
    assert target.isascii()
    assert target.isprintable()


@pytest.mark.parametrize(
    ("url", "authority", "target"),
    [
        ("https://hooks.example", "hooks.example", "/"),
        ("HTTPS://Hooks.Example:443/A?b=%20#".rstrip("#"), "hooks.example", "/A?b=%20"),
        ("https://hooks.example?x=1", "hooks.example", "/?x=1"),
        ("https://8.8.8.8/x", "8.8.8.8", "/x"),
        ("https://[2606:4700:0::1111]/x", "[2606:4700::1111]", "/x"),
        ("https://xn--bcher-kva.example/", "xn--bcher-kva.example", "/"),
    ],
)
def test_ordinary_urls_are_taken(url: str, authority: str, target: str) -> None:
    """In one spelling, whatever came."""
    found = check_url(url, (), named="callback")
    assert (found.origin.authority, found.target, found.listed) == (authority, target, False)


def test_the_operators_list_is_exact() -> None:
    """Scheme, host and port; nothing near it is let in."""
    allow = WebhookSettings(allow=["https://hooks.internal:8443", "http://127.0.0.1:9000"])
    for url in (
        "https://hooks.internal:8443/a",
        "http://127.0.0.1:9000/?b",
        "HTTP://127.0.0.1:9000",
    ):
        assert check_url(url, allow.allowed(), named="webhook").listed
    for url in (
        *(
            "http://hooks.internal:8443/",
            "https://hooks.internal/",
            "https://a.hooks.internal:8443/",
        ),
        *("https://127.0.0.1:9000/", "http://127.0.0.1:9001/", "http://127.0.0.2:9000/"),
    ):
        with pytest.raises(RequestError) as refused:
            check_url(url, allow.allowed(), named="webhook")
        assert refused.value.code == "url_not_allowed"


@pytest.mark.parametrize(
    "entry",
    ["hooks.internal", "https://a.b/path", "https://a.b?", "ftp://a.b", "https://u@a.b", ""],
)
def test_entries_of_the_list_are_checked_at_the_start(entry: str) -> None:
    """A mistyped entry stops the service, rather than allowing something else."""
    with pytest.raises(ValueError, match="no entry of the form"):
        WebhookSettings(allow=[entry])


def test_an_entry_without_a_port_is_the_schemes_own() -> None:
    """As everywhere."""
    assert parse_origin("https://a.example") == Origin("https", "a.example", 443)
    assert parse_origin("http://A.example/") == Origin("http", "a.example", 80)


def test_long_urls_are_refused() -> None:
    """2048 characters are enough for anybody's token."""
    assert check_url("https://a.example/" + "x" * 2030, (), named="callback")
    with pytest.raises(RequestError, match="longer"):
        check_url("https://a.example/" + "x" * 2031, (), named="callback")
