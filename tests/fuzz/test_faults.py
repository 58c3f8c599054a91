"""Inputs that once crashed a parser, hung it, or took its memory."""

import gzip

import pytest

from fuzz.mutate.tars import header, summed
from tests.archives import zstd_frame
from tests.fuzz.conftest import Try


@pytest.mark.parametrize("compressed", [bytes, gzip.compress, zstd_frame])
@pytest.mark.parametrize("kind", [b"0", b"x", b"L"])
@pytest.mark.parametrize("size", [b"-0000000001\0", b"-0000000005\0"])
def test_tar_member_of_a_size_below_zero(
    tried: Try, compressed: type[bytes], kind: bytes, size: bytes
) -> None:
    """It asks to read all there is, or forever."""
    block = bytearray(header(b"adapter_config.json", 0, kind, b"ustar\x0000"))
    block[124:136] = size
    assert not tried("archive", compressed(summed(block) + bytes(1536)))
