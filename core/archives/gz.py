"""What lies behind gzip's compression, read forward: one member, and nothing but zeros after it.

A reader of our own, because the one in Python takes any number of members, empty ones too, where
others stop after the first. The format: RFC 1952.
"""

import zlib
from typing import BinaryIO

from core.archives.members import unreadable

MAGIC = b"\x1f\x8b"

_GZIP = 16 + zlib.MAX_WBITS
_PIECE = 65536


class GzipStream:
    """The content of the file's one member."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decoder = zlib.decompressobj(_GZIP)

    def read(self, size: int, /) -> bytes:
        """`size` bytes, fewer only at the end: no more are unpacked. Raises `Unprocessable`."""
        data = bytearray()
        try:
            while len(data) < size and not self._decoder.eof:
                data += self._unpacked(size - len(data))
        except zlib.error as error:
            raise unreadable(f"its compression is damaged ({error})") from error
        if self._decoder.eof:
            self._check_end()
        return bytes(data)

    def _unpacked(self, size: int) -> bytes:
        """Up to `size` bytes; perhaps none yet."""
        piece = self._decoder.unconsumed_tail or self._file.read(_PIECE)
        if not piece:
            # The last bytes may still be inside the decoder; if not, the file was cut.
            rest = self._decoder.decompress(b"", size)
            if not rest and not self._decoder.eof:
                raise unreadable("it ends before its compression does")
            return rest
        return self._decoder.decompress(piece, size)

    def _check_end(self) -> None:
        rest = self._decoder.unused_data
        while rest:
            if rest.strip(b"\0"):
                raise unreadable(
                    "something follows its first gzip member, as bgzip and cat leave it; use gzip"
                )
            rest = self._file.read(_PIECE)
