"""What lies behind Zstandard's compression, read forward in bounded memory.

A reader of our own, because the one in Python takes frames of any window, opens a decoder for each
of any number of frames, and skips what frames hide. The format: RFC 8878.
"""

import sys
from typing import BinaryIO

from core.archives.members import refusal, unreadable
from core.errors import Unprocessable

if sys.version_info >= (3, 14):
    from compression.zstd import DecompressionParameter, ZstdDecompressor, ZstdError
else:
    from backports.zstd import DecompressionParameter, ZstdDecompressor, ZstdError

MAGIC = b"\x28\xb5\x2f\xfd"
MAX_FRAMES = 65536
WINDOW_LOG = 23  # what section 3.1.1.1.2 asks of every decoder, and encoders to keep to

_SHORTEST_HEADER, _LONGEST_HEADER = 6, 18
_PIECE = 65536
_SINGLE_SEGMENT = 0x20


class ZstdStream:
    """The content of a file's frames, one after the other, as `cat` and `zstd -d` join them.

    Refused, where other readers may differ: frames that readers skip, whatever follows the last
    frame, dictionaries, windows over 8 MiB, and more frames than anyone needs.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._unused = b""  # read from the file, and not yet given to a decoder
        self._decoder: ZstdDecompressor | None = None
        self._frames = 0

    def read(self, size: int, /) -> bytes:
        """`size` bytes, fewer only at the end: no more are unpacked. Raises `Unprocessable`."""
        data = bytearray()
        try:
            while len(data) < size and (decoder := self._current()):
                data += self._unpacked(decoder, size - len(data))
        except ZstdError as error:
            raise unreadable(f"its compression is damaged ({error})") from error
        return bytes(data)

    def _current(self) -> ZstdDecompressor | None:
        """The decoder of the frame that is being read, or of the next; None behind the last."""
        if self._decoder is not None:
            if not self._decoder.eof:
                return self._decoder
            self._unused = self._decoder.unused_data
        if len(self._unused) < _LONGEST_HEADER:
            self._unused += self._file.read(_PIECE)
        self._decoder = self._next() if self._unused else None
        return self._decoder

    def _next(self) -> ZstdDecompressor:
        _check_header(self._unused[:_LONGEST_HEADER])
        self._frames += 1
        if self._frames > MAX_FRAMES:
            raise _unsupported(f"is compressed in more than {MAX_FRAMES} pieces")
        # The decoder holds to the limit too, should it ever read a header otherwise than we do.
        return ZstdDecompressor(options={DecompressionParameter.window_log_max: WINDOW_LOG})

    def _unpacked(self, decoder: ZstdDecompressor, size: int) -> bytes:
        """Up to `size` bytes of the frame; perhaps none yet."""
        if not decoder.needs_input:
            return decoder.decompress(b"", size)
        piece, self._unused = self._unused or self._file.read(_PIECE), b""
        if not piece:
            raise unreadable("it ends before its compression does")
        return decoder.decompress(piece, size)


def _check_header(header: bytes) -> None:
    """Judged by the header alone: a decoder's own limits depend on how much it is given at once."""
    if not header.startswith(MAGIC[: len(header)]):
        raise unreadable("what follows a frame of its compression is no frame of data")
    if len(header) < _SHORTEST_HEADER:
        raise unreadable("it ends before its compression does")
    dictionary, window = _claims(header)
    if dictionary:
        raise _unsupported("needs a dictionary to be unpacked")
    if window > 1 << WINDOW_LOG:
        raise _unsupported(f"takes {window} bytes of memory to unpack, {1 << WINDOW_LOG} are given")


def _claims(header: bytes) -> tuple[int, int]:
    """The number of the dictionary, 0 for none, and the bytes of the window (section 3.1.1.1).

    A frame in one segment has its content for a window. That of two bytes is 256 short here.
    """
    descriptor, single = header[4], header[4] & _SINGLE_SEGMENT
    start = 5 if single else 6
    end = start + (0, 1, 2, 4)[descriptor & 3]
    dictionary = int.from_bytes(header[start:end], "little")
    if single:
        size = (1, 2, 4, 8)[descriptor >> 6]
        return dictionary, int.from_bytes(header[end : end + size], "little")
    exponent, mantissa = divmod(header[5], 8)
    return dictionary, (8 + mantissa) << (7 + exponent)


def _unsupported(why: str) -> Unprocessable:
    return refusal(
        "archive_format_unsupported",
        f"the archive {why}: compress it with zstd at level 19 or lower, without --long and --dict",
    )
