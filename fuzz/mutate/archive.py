"""Archives: members made anew, headers edited with their checksums kept, compression damaged."""

import gzip
from random import Random

from fuzz.mutate import raw
from fuzz.mutate.tars import change_tar, make_tar
from fuzz.mutate.zips import change_zip, make_zip
from tests.archives import zstd_frame

_COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")


def mutate(random: Random, data: bytes) -> bytes:
    if random.random() < 0.3:
        return random.choice((make_zip, make_tar, _make_compressed))(random)
    if data.startswith(b"PK"):
        return change_zip(random, data)
    if data.startswith(_COMPRESSED):
        return random.choice((raw.mutate(random, data), _make_compressed(random)))
    return change_tar(random, data)


def _make_compressed(random: Random) -> bytes:
    """A tar, changed or not, in one or two pieces, each compressed by itself."""
    tar = make_tar(random)
    for _ in range(random.choice((0, 0, 1, 2))):
        tar = change_tar(random, tar)
    cut = random.choice((0, 0, random.randrange(len(tar) + 1)))
    pieces = [tar[:cut], tar[cut:]] if cut else [tar]
    if random.random() < 0.5:
        return b"".join(gzip.compress(piece, 1, mtime=0) for piece in pieces)
    window = random.choice((None, None, None, 20, 23, 24))
    return b"".join(zstd_frame(piece, 1, window_log=window) for piece in pieces)
