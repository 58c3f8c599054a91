"""A process that dies if a byte past V is read: each V ends at a page that nobody may touch."""

import ctypes
import itertools
import mmap
import sys

import torch

from worker.projection import native

SHAPES = [(1, 1), (3, 5), (7, 33), (64, 32), (65, 31), (97, 64), (130, 47), (12, 100), (95, 1)]
PROT_NONE = 0


def main() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    read = 0
    for (out, in_), dtype, rank in itertools.product(SHAPES, native._KINDS, (1, 9)):
        size = out * in_ * dtype.itemsize
        whole = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        area = mmap.mmap(-1, whole + mmap.PAGESIZE)
        start = ctypes.addressof(ctypes.c_char.from_buffer(area))
        guard = ctypes.c_void_p(start + whole)
        if libc.mprotect(guard, ctypes.c_size_t(mmap.PAGESIZE), PROT_NONE):
            raise OSError(ctypes.get_errno(), "mprotect")
        count = out * in_
        v = torch.frombuffer(area, dtype=dtype, count=count, offset=whole - size).view(out, in_)
        v.fill_(1.0)
        for pairs in {False, dtype == torch.bfloat16 and native.LEVEL == native.Level.PAIRS}:
            back = native.back(v, torch.ones(out, rank), pairs=pairs)
            forward = native.forward(v, torch.ones(in_, rank))
            if bool((back != out).any()) or bool((forward != in_).any()):
                raise AssertionError(f"{out} x {in_} in {dtype}: {back} {forward}")
        read += 1
    sys.stdout.write(f"read {read} matrices\n")


if __name__ == "__main__":
    main()
