"""An upload folder and its policy as one piece of bytes, so that a fuzzer can hold it.

Any bytes are some upload: one byte of flags, the config's length in four, the config, the weights.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

from core.store.layout import ADAPTER_CONFIG, ADAPTER_MODEL, INPUT_FILES, MLX_MODEL

STRIP, MLX_NAME, NO_CONFIG, NO_MODEL, TWICE = 1, 2, 4, 8, 0xF0
OTHERS = (
    "README.md",
    "tokenizer.json",
    "pytorch_model.bin",
    "a.gguf",
    "a.npz",
    "\ud800\x1b[2J",
    "x" * 600,
)
_HEAD = struct.Struct("<BI")


@dataclass(frozen=True)
class Parcel:
    """`flags`: the four above in the low bits; in the high ones which of `OTHERS` lies beside, or
    with all of them the weights a second time under the other name."""

    flags: int
    config: bytes
    model: bytes

    @classmethod
    def of(cls, data: bytes) -> "Parcel":
        flags, length = _HEAD.unpack(data[: _HEAD.size].ljust(_HEAD.size, b"\0"))
        rest = data[_HEAD.size :]
        return cls(flags, rest[:length], rest[length:])

    def pack(self) -> bytes:
        return _HEAD.pack(self.flags & 0xFF, len(self.config)) + self.config + self.model

    @property
    def strips(self) -> bool:
        return bool(self.flags & STRIP)

    @property
    def other_names(self) -> tuple[str, ...]:
        chosen = self.flags >> 4
        return OTHERS[chosen - 1 : chosen] if chosen else ()

    def write(self, folder: Path) -> None:
        """The adapter's files; what was there of an upload before goes."""
        for name in INPUT_FILES:
            (folder / name).unlink(missing_ok=True)
        if not self.flags & NO_CONFIG:
            (folder / ADAPTER_CONFIG).write_bytes(self.config)
        if not self.flags & NO_MODEL:
            for name in self._models:
                (folder / name).write_bytes(self.model)

    @property
    def _models(self) -> tuple[str, ...]:
        if self.flags & TWICE == TWICE:
            return ADAPTER_MODEL, MLX_MODEL
        return (MLX_MODEL if self.flags & MLX_NAME else ADAPTER_MODEL,)
