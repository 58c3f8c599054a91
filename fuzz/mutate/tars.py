"""Tars with headers of every kind, their checksums right in spite of what they say."""

from random import Random

from fuzz.mutate import raw
from fuzz.mutate.members import some_parts

_BLOCK = 512
_SIZES = (
    *(b"-0000000001\0", b"-0000000005\0", b"0_10\0", b"+2\0", b"0o2\0", b" 2 \0", b"99\0", b"\0"),
    *(b"77777777777\0", b"\x80" + bytes(10) + b"\x02", b"\x80" + b"\xff" * 11, b"\xff" * 12),
)
_KINDS = (*(b"0", b"\0", b"5", b"x", b"g", b"L", b"K"), *(b"1", b"2", b"3", b"6", b"7", b"S", b"V"))
_MAGICS = (b"ustar\x0000", b"ustar  \0", b"ustar\0  ", b"\0" * 8)
_FIELDS = {
    (0, 100): (
        b"../a\0",
        b"/a\0",
        b"a" * 100,
        b"\xff\xfe\0",
        b"adapter_model.safetensors\0",
        b"\0",
    ),
    (124, 12): _SIZES,
    (156, 1): _KINDS,
    (257, 8): _MAGICS,
    (345, 155): (b"adapter\0", b"..\0", b"a" * 155, b"\0"),
}
_RECORDS = (
    *(b"13 path=a.md\n", b"27 path=adapter_config.json\n", b"10 size=2\n", b"11 size=-1\n"),
    *(b"12 size=1_0\n", b"12 path=a\0b\n", b"22 GNU.sparse.major=1\n", b"20 mtime=1700000.5\n"),
    *(b"0 a=b\n", b"99999999 a=b\n", b"5 a=b\n", b"6 a=b\n" * 99, b"\xff\xff"),
    b"13 path=\xff\xff\xff\xff\n",
)


def make_tar(random: Random) -> bytes:
    """Members, now and then each behind an extension, and an end that is mostly there."""
    made = b""
    magic = random.choice(_MAGICS[:2])
    for part in some_parts(random):
        if random.random() < 0.2:
            made += extension(random)
        folder = part.name.endswith("/")
        made += header(part.name.encode(), len(part.data), b"5" if folder else b"0", magic)
        made += _padded(part.data)
    return made + bytes(random.choice((1024, 1024, 1024, 512, 10240, 0)))


def change_tar(random: Random, data: bytes) -> bytes:
    """A header edited, a block left out, doubled or put in; or bytes anywhere."""
    blocks = [data[at : at + _BLOCK] for at in range(0, len(data), _BLOCK)]
    headers = [at for at, block in enumerate(blocks) if block[257:262] == b"ustar"]
    if not headers:
        return raw.mutate(random, data)
    at = random.choice(headers)
    match random.randrange(8):
        case 0 | 1 | 2 | 3:
            blocks[at] = _edited(random, blocks[at])
        case 4:
            blocks.insert(at, extension(random))
        case 5:
            del blocks[random.randrange(len(blocks))]
        case 6:
            blocks.insert(random.randrange(len(blocks) + 1), blocks[at])
        case _:
            return raw.mutate(random, data)
    return b"".join(blocks)


def extension(random: Random) -> bytes:
    """An extended header and its records, true or not."""
    kind = random.choice((b"x", b"x", b"g", b"L", b"K"))
    data = b"".join(random.choices(_RECORDS, k=random.randint(1, 2)))
    return header(b"PaxHeader", len(data), kind, _MAGICS[0]) + _padded(data)


def header(name: bytes, size: int, kind: bytes, magic: bytes) -> bytes:
    block = bytearray(_BLOCK)
    block[: min(len(name), 100)] = name[:100]
    block[100:108] = b"0000644\0"
    block[124:136] = b"%011o\0" % size
    block[136:148] = b"00000000000\0"
    block[156:157] = kind
    block[257:265] = magic
    return summed(block)


def summed(block: bytearray) -> bytes:
    """The header with its checksum."""
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def _edited(random: Random, block: bytes) -> bytes:
    (start, size), values = random.choice(list(_FIELDS.items()))
    edited = bytearray(block.ljust(_BLOCK, b"\0"))
    value = random.choice(values) if random.random() < 0.8 else random.randbytes(size)
    edited[start : start + len(value)] = value
    return summed(edited) if random.random() < 0.95 else bytes(edited)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % _BLOCK)
