"""Zips whose records say one thing here and another there."""

import io
import struct
import zipfile
from random import Random

from fuzz.mutate import raw
from fuzz.mutate.members import some_parts

# Signature → (offset, bytes) of the fields behind it that a reader believes.
_LOCAL = {"flags": (6, 2), "method": (8, 2), "crc": (14, 4), "packed": (18, 4), "size": (22, 4)}
_RECORDS = {
    b"PK\x03\x04": (*_LOCAL.values(), (4, 2), (26, 2), (28, 2)),
    b"PK\x01\x02": tuple(
        [(offset + 2, size) for offset, size in _LOCAL.values()]
        + [(4, 2), (6, 2), (28, 2), (30, 2), (32, 2), (34, 2), (38, 4), (42, 4)]
    ),
    b"PK\x05\x06": ((4, 2), (6, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2)),
    b"PK\x06\x07": ((4, 4), (8, 8), (16, 4)),
}
_ZIP64_END = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 2, 2, 100, 0)
_ZIP64_LOCATOR = struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1)
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
_MODES = (0, 0, 0, 0o100644, 0o100644, 0o040755, 0o120777, 0o020666, 0o140755)


def make_zip(random: Random) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for part in some_parts(random)[:10]:
            entry = zipfile.ZipInfo(part.name or "a")
            entry.external_attr = random.choice(_MODES) << 16
            if random.random() < 0.1:
                entry.extra = random.choice(
                    (b"\x01\x00\x08\x00" + bytes(8), b"up\x04\x00abcd", b"a")
                )
            if entry.filename not in archive.namelist():  # twice is a warning
                archive.writestr(entry, part.data, random.choice(_METHODS[:3]))
        archive.comment = random.choice((b"", b"", b"", b"PK\x05\x06" + bytes(18)))
    return sink.getvalue()


def change_zip(random: Random, data: bytes) -> bytes:
    """A field of a record edited, a zip64 end put in, bytes put in front; or bytes anywhere."""
    match random.randrange(8):
        case 0 | 1 | 2 | 3:
            return _edited(random, data)
        case 4:
            return data.replace(
                b"adapter_config", random.choice((b"ADAPTER_CONFIG", b"../../_config"))
            )
        case 5:
            end = data.rfind(b"PK\x05\x06")
            locator = random.choice((_ZIP64_LOCATOR, _ZIP64_END + _ZIP64_LOCATOR))
            return data[:end] + locator + data[end:]
        case 6:
            return data[:4] + random.randbytes(random.randint(1, 40)) + data
        case _:
            return raw.mutate(random, data)


def _edited(random: Random, data: bytes) -> bytes:
    signature = random.choice(list(_RECORDS))
    count = data.count(signature)
    if not count:
        return raw.mutate(random, data)
    at = -1
    for _ in range(random.randint(1, count)):
        at = data.index(signature, at + 1)
    offset, size = random.choice(_RECORDS[signature])
    at += offset
    value = int.from_bytes(data[at : at + size], "little")
    near = (0, 1, value + 1, value - 1, value << 8, 2 ** (8 * size) - 1, 2 ** (8 * size - 1), 8, 99)
    edited = random.choice(near) & ((1 << 8 * size) - 1)
    return data[:at] + edited.to_bytes(size, "little") + data[at + size :]
