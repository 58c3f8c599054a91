"""Files of JSON lines, and files that are written whole or not at all."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from core.canonical import parse_json_strictly
from core.errors import RequestError


def read_bytes(path: Path) -> bytes:
    """Raises `RequestError` for a file that cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise RequestError(
            f"{path}: {error.strerror}; name a file that can be read", code="file_unreadable"
        ) from error


def read_text(path: Path) -> str:
    """UTF-8, with or without a byte order mark. Raises `RequestError`."""
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError(f"{path} is not UTF-8: convert it", code="file_not_utf8") from error


def read_rows(path: Path, fields: Sequence[str]) -> list[dict[str, str]]:
    """These fields, which are texts, of each line's object; others are passed over.

    Raises `RequestError` with the number of the first line that is not so.
    """
    lines = enumerate(read_text(path).split("\n"), start=1)
    return [_row(line, f"{path}, line {n}", fields) for n, line in lines if line.strip()]


def _row(line: str, where: str, fields: Sequence[str]) -> dict[str, str]:
    try:
        row = parse_json_strictly(line.encode())
    except ValueError as error:
        raise RequestError(
            f"{where} is not JSON: {error}; write one object a line", code="row_invalid"
        ) from error
    if not isinstance(row, dict) or not all(isinstance(row.get(field), str) for field in fields):
        wanted = ", ".join(f'"{field}"' for field in fields)
        raise RequestError(
            f"{where} has to be an object in which {wanted} is a text", code="row_invalid"
        )
    return {field: row[field] for field in fields}


def write_rows(path: Path, rows: Iterable[Mapping[str, str]]) -> None:
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_whole(path, "".join(lines).encode())


def write_whole(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    half_made = path.with_name(f".{path.name}.{os.getpid()}")
    half_made.write_bytes(content)
    half_made.replace(path)
