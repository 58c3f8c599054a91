"""The multipart body: as the gate reads it, and never in memory as a whole."""

import asyncio
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from python_multipart.multipart import FormParser

from safelora import UsageError
from safelora.multipart import FilePart, Multipart, multipart

texts = st.dictionaries(st.sampled_from(["alignment", "policy", "metadata"]), st.text(max_size=50))


async def awaited(body: Multipart) -> bytes:
    return b"".join([chunk async for chunk in body])


def parsed(body: Multipart) -> dict[str, bytes]:
    """What a parser of multipart bodies makes of it."""
    found: dict[str, bytes] = {}

    def on_field(field: object) -> None:
        name, value = getattr(field, "field_name"), getattr(field, "value")  # noqa: B009
        found[name.decode()] = value or b""

    def on_file(file: object) -> None:
        name, source = getattr(file, "field_name"), getattr(file, "file_object")  # noqa: B009
        source.seek(0)
        found[name.decode()] = source.read()
        source.close()

    parser = FormParser("multipart/form-data", on_field, on_file, boundary=body.boundary)
    for chunk in body:
        parser.write(chunk)
    parser.finalize()
    return found


@settings(deadline=None)
@given(fields=texts, data=st.binary(max_size=200), size=st.integers(0, 3_000_000))
def test_parts_come_through(
    tmp_path_factory: pytest.TempPathFactory, fields: dict[str, str], data: bytes, size: int
) -> None:
    """Byte for byte, of the length that is announced, the same in both ways of reading."""
    path = tmp_path_factory.mktemp("part") / "file"
    path.write_bytes(bytes(size))
    body = multipart(fields, {"config": data, "adapter": FilePart(path, size)})
    sent = b"".join(body)
    assert len(sent) == body.size == int(body.headers["Content-Length"])
    assert asyncio.run(awaited(body)) == sent
    expected = {name: text.encode() for name, text in fields.items()}
    assert parsed(body) == {**expected, "config": data, "adapter": bytes(size)}


@pytest.mark.parametrize("read", [lambda body: b"".join(body), lambda b: asyncio.run(awaited(b))])
@pytest.mark.parametrize("now", [b"", b"12", b"1234"])
def test_file_that_changes_is_not_sent_as_if_it_had_not(
    tmp_path: Path, read: Callable[[Multipart], bytes], now: bytes
) -> None:
    """Shorter or longer than when the request was made."""
    path = tmp_path / "file"
    path.write_bytes(now)
    body = multipart({}, {"archive": FilePart(path, 3)})
    with pytest.raises(UsageError, match="changed while it was sent"):
        read(body)


def test_memory_stays_small(tmp_path: Path) -> None:
    """For a file of 64 MiB, less than 4."""
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.truncate(64 * 2**20)
    body = multipart({}, {"archive": FilePart(path, 64 * 2**20)})
    tracemalloc.start()
    try:
        assert sum(len(chunk) for chunk in body) == body.size
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 4 * 2**20
