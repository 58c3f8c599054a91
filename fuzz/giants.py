"""Inputs as large as they may be, of what takes a parser most: too large to be mutated."""

import gzip
import json
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice, product, repeat
from string import ascii_lowercase, digits

from core.policy import Caps
from core.safetensors_header import MAX_HEADER_BYTES
from fuzz.mutate.tars import header as tar_header
from fuzz.mutate.tars import summed
from fuzz.pair import EXPERTS
from fuzz.parcel import STRIP, Parcel
from tests.archives import pack_tar_gz, pack_tar_zst, pack_zip, zstd_frame
from worker.adapter.files import CONFIG_LIMIT
from worker.adapter.fit import SPARE_PATTERNS

_EMPTY = '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
_PLAIN = '"peft_type":"LORA","r":1,"lora_alpha":4'
_TENSORS = Caps().tensors
_NAME_BYTES = MAX_HEADER_BYTES // _TENSORS - len(_EMPTY) - 4  # for each, where there are so many


@dataclass(frozen=True)
class Giant:
    """`make` gives an input for the target."""

    target: str
    make: Callable[[], bytes]


def _words(template: str = "{}") -> Iterable[str]:
    """More than a million, no two alike."""
    letters = product(ascii_lowercase + digits, repeat=4)
    return (template.replace("{}", "".join(word)) for word in letters)


def _filled(limit: int, before: str, pieces: Iterable[str], after: str) -> str:
    """As many of the pieces, with commas, as there is room for within the limit."""
    room = limit - len(before) - len(after)
    taken = []
    for piece in pieces:
        room -= len(piece) + 1
        if room < 0:
            break
        taken.append(piece)
    return before + ",".join(taken) + after


def _file(header: str, body: bytes = b"") -> bytes:
    text = header.encode()
    return struct.pack("<Q", len(text)) + text + body


def _header(before: str, pieces: Callable[[], Iterable[str]], after: str) -> Giant:
    return Giant("header", lambda: _file(_filled(MAX_HEADER_BYTES, before, pieces(), after)))


def _config(before: str, template: str, after: str) -> Giant:
    def make() -> bytes:
        return _filled(CONFIG_LIMIT, before, _words(template), after).encode()

    return Giant("config", make)


def _tensors(names: Iterable[str], flags: int = 0) -> bytes:
    """An upload of tensors without elements."""
    header = "{" + ",".join(f'"{name}":{_EMPTY}' for name in names) + "}"
    return Parcel(flags, f"{{{_PLAIN}}}".encode(), _file(header)).pack()


def _long_names(piece: str, after: str) -> Iterable[str]:
    middle = piece * ((_NAME_BYTES - 4 - len(after)) // len(piece))
    return islice(_words("{}" + middle + after), _TENSORS)


def _deep_name() -> str:
    return "base_model.model." + "a." * (MAX_HEADER_BYTES // 2 - 100) + "a.lora_A.weight"


def _many_patterns() -> bytes:
    """A pattern for every module and the spare ones, of which none fits any."""
    tensors = {}
    for at, name in enumerate(EXPERTS):
        for factor, start in (("A", 4 * at), ("B", 4 * at + 2)):
            fields = {"dtype": "F16", "shape": [1, 1], "data_offsets": [start, start + 2]}
            tensors[f"base_model.model.{name}.lora_{factor}.weight"] = fields
    keys = ",".join(islice(_words('"{}":1'), len(EXPERTS) + SPARE_PATTERNS))
    config = f'{{{_PLAIN},"rank_pattern":{{{keys}}},"alpha_pattern":{{{keys}}}}}'
    return Parcel(0, config.encode(), _file(json.dumps(tensors), bytes(4 * len(EXPERTS)))).pack()


def _size_below_zero() -> bytes:
    """An extended header of a size that `read` takes for all there is, and much behind it."""
    block = bytearray(tar_header(b"a", 0, b"x", b"ustar\x0000"))
    block[124:136] = b"-0000000001\0"
    return gzip.compress(summed(block) + bytes(2**28), 1, mtime=0)


def _long_gzip_name() -> bytes:
    packed = pack_tar_gz({"a": b""})
    return packed[:3] + b"\x08" + packed[4:10] + b"a" * 2**24 + b"\0" + packed[10:]


GIANTS = {
    "lists in a header": _header('{"a":[', lambda: repeat("[]"), "]}"),
    "lists beside an escape": _header('{"a":["\\u0041",', lambda: repeat("[]"), "]}"),
    "objects in a header": _header('{"a":[', lambda: repeat("{}"), "]}"),
    "numbers in a header": _header('{"a":[', lambda: repeat("0.5"), "]}"),
    "digits in a header": _header('{"a":0.' + "1" * (MAX_HEADER_BYTES - 10), lambda: (), "}"),
    "one key many times": _header("{", lambda: repeat('"a":0'), "}"),
    "keys of a header": _header("{", lambda: _words('"{}":0'), "}"),
    "keys of the metadata": _header('{"__metadata__":{', lambda: _words('"{}":""'), "}}"),
    "empty tensors": _header("{", lambda: _words(f'"{{}}":{_EMPTY}'), "}"),
    "a name of many parts": Giant("names", lambda: f'P["{_deep_name()}"]'.encode()),
    "a tensor of many parts": Giant("upload", lambda: _tensors([_deep_name()])),
    "names of many parts": Giant("upload", lambda: _tensors(_long_names(".a", ".lora_A.weight"))),
    "names that are no factors": Giant("upload", lambda: _tensors(_long_names("\x7f", ""), STRIP)),
    "patterns against modules": Giant("upload", _many_patterns),
    "unknown fields": _config(f"{{{_PLAIN},", '"{}":0', "}"),
    "keys that are no patterns": _config(f'{{{_PLAIN},"rank_pattern":{{', '"!{}":""', "}}"),
    "unknown parameters": _config('{"lora_parameters":{', '"{}":0', "}}"),
    "a pattern of many parts": Giant(
        "config", lambda: f'{{{_PLAIN},"rank_pattern":{{"{"a." * 500_000}a":1}}}}'.encode()
    ),
    "a size below zero": Giant("archive", _size_below_zero),
    "a gzip's long name": Giant("archive", _long_gzip_name),
    "many empty gzips": Giant(
        "archive", lambda: gzip.compress(b"", mtime=0) * 800_000 + pack_tar_gz({"a": b""})
    ),
    "many empty frames": Giant(
        "archive", lambda: zstd_frame(b"") * 65_000 + pack_tar_zst({"a": b""})
    ),
    "many members": Giant(
        "archive", lambda: pack_zip(dict.fromkeys(islice(_words(), 20_000), b""))
    ),
}
