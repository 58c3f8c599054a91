"""One spelling for one value: canonical JSON and digests, on which every identity rests."""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

Json = Mapping[str, "Json"] | Sequence["Json"] | str | int | float | bool | None


def canonical_json(value: Json) -> bytes:
    """UTF-8, keys sorted, no spaces. Raises ValueError for NaN and infinities (RFC 8259)."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def pretty_json(value: Json) -> bytes:
    """The same value for human eyes, still byte-for-byte reproducible."""
    return (
        json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    ).encode()


def sha256_hex(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def digest(value: Json) -> str:
    """SHA-256 of the canonical JSON, hex."""
    return sha256_hex(canonical_json(value))


class DuplicateKey(ValueError):
    """A JSON object names the same key twice, so two readers may disagree on its value."""


def parse_json_strictly(data: bytes) -> Any:
    """JSON as RFC 8259 has it: no NaN, no infinities, no duplicate keys, UTF-8 only.

    Nor what readers take differently: `-0` for a whole number, half of a surrogate pair. Raises
    ValueError (`DuplicateKey`, UnicodeDecodeError and JSONDecodeError are its kinds), and for
    nesting so deep that it exhausts the parser.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            counts = Counter(key for key, _ in pairs)
            raise DuplicateKey(f"key {counts.most_common(1)[0][0]!r} appears twice")
        return result

    def refuse_constant(name: str) -> Any:
        raise ValueError(f"{name} is not a JSON number")

    def finite_float(text: str) -> float:
        number = float(text)
        if not math.isfinite(number):
            raise ValueError(f"{text} is too large for a number")
        return number

    def whole_number(text: str) -> int:
        if text == "-0":
            raise ValueError("-0 is no whole number")
        return int(text)

    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=unique,
            parse_constant=refuse_constant,
            parse_float=finite_float,
            parse_int=whole_number,
        )
        if b"\\u" in data:
            canonical_json(value)  # UnicodeEncodeError where half a surrogate pair stands alone
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return value
