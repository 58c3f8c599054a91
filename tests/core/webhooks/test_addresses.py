"""Addresses that are not on the public internet are known as such, in every disguise."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.webhooks.addresses import is_public, read_address

# The registries of special addresses, written down here once more.
SPECIAL = [
    ipaddress.ip_network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        *("::/3", "4000::/2", "8000::/1", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
    )
]
inside = st.sampled_from(SPECIAL).flatmap(lambda network: st.ip_addresses(network=network))


@given(inside)
def test_special_addresses_are_not_public(address: ipaddress.IPv4Address) -> None:
    """Private, local, reserved, multicast, translated: any address of any of these ranges."""
    assert not is_public(address)


@given(st.ip_addresses())
def test_all_others_are(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """What is public is in no special range, and what is in none is public, but for one cloud's."""
    special = any(address in net for net in SPECIAL if net.version == address.version)
    assert is_public(address) == (not special) or str(address) == "168.63.129.16"


@given(st.ip_addresses(v=4))
def test_no_ipv4_address_hides_in_an_ipv6_one(inner: ipaddress.IPv4Address) -> None:
    """Mapped, compatible, NAT64, 6to4, Teredo, ISATAP under link-local: all are refused."""
    number = int(inner)
    for high in (0xFFFF << 32, 0, 0x64FF9B << 96, 0x64FF9B0001 << 80, 0xFFFF << 48):
        assert not is_public(ipaddress.IPv6Address(high | number))
    assert not is_public(ipaddress.IPv6Address(0x2002 << 112 | number << 80 | 1))
    assert not is_public(ipaddress.IPv6Address(0x20010000 << 96 | number ^ 0xFFFFFFFF))
    assert not is_public(ipaddress.IPv6Address(0xFE80 << 112 | 0x5EFE << 32 | number))


@pytest.mark.parametrize("text", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "2a00:1450::200e"])
def test_ordinary_addresses_are_public(text: str) -> None:
    """Or nobody could be told anything."""
    address = read_address(text)
    assert address is not None
    assert is_public(address)


@pytest.mark.parametrize("text", ["2606:4700::1111%1", "168.63.129.16", "fec0::1", "::8.8.8.8"])
def test_neither_are_these(text: str) -> None:
    """A zone, a cloud's own services, old site-local addresses, an embedded public address."""
    address = read_address(text)
    assert address is not None
    assert not is_public(address)


@pytest.mark.parametrize("text", ["127.1", "0177.0.0.1", "2130706433", "0x7f.0.0.1", "example"])
def test_only_the_usual_spelling_is_an_address(text: str) -> None:
    """What a C library reads as an address, in its own way, is a name to us, and resolved."""
    assert read_address(text) is None
