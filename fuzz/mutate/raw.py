"""Changes of bytes, whatever they mean."""

from random import Random

_WORDS = (
    b"\0",
    b"\xff",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\xff\xff\xff\xff\x7f",
    bytes(8),
    b"{}",
    b"PK\x03\x04",
    b"\x1f\x8b",
    b"\xed\xa0\x80",  # half of a surrogate pair, as UTF-8 must not have it
    b"\xf0\x9f\x98\x80",
)


def mutate(random: Random, data: bytes) -> bytes:
    """One byte, or one run of bytes, changed, left out, doubled or put in."""
    at = random.randrange(len(data) + 1)
    length = random.choice((1, 1, 1, 2, 4, 8, 32, 512))
    match random.randrange(7):
        case 0:
            return data[:at] + random.randbytes(length) + data[at + length :]
        case 1:
            return data[:at] + data[at + length :]
        case 2:
            return data[:at] + data[at : at + length] * 2 + data[at + length :]
        case 3:
            return data[:at] + random.choice(_WORDS) + data[at:]
        case 4:
            word = random.choice(_WORDS)
            return data[:at] + word + data[at + len(word) :]
        case 5:
            return data[:at]
        case _:
            changed = bytearray(data or b"\0")
            changed[at % len(changed)] ^= 1 << random.randrange(8)
            return bytes(changed)
