"""What goes into an archive that is made anew."""

from dataclasses import dataclass
from random import Random

from core.store.layout import ADAPTER_CONFIG, ADAPTER_MODEL, MLX_MODEL

_NAMES = (
    *(ADAPTER_MODEL, ADAPTER_CONFIG, MLX_MODEL) * 3,
    "README.md",
    ADAPTER_CONFIG.upper(),
    f"./{ADAPTER_CONFIG}",
    f"../{ADAPTER_CONFIG}",
    f"/{ADAPTER_CONFIG}",
    f"C:{ADAPTER_CONFIG}",
    f"a//{ADAPTER_CONFIG}",
    f"a/b/{ADAPTER_CONFIG}",
    f"{ADAPTER_CONFIG}\\",
    "__MACOSX/a",
    "._a",
    ".DS_Store",
    "e\u0301",
    "é",
    "\x1b[2J",
    "a" * 260,
    ".",
    "..",
    "",
)
_FOLDERS = ("", "", "", "adapter/", "./", "./adapter/")


@dataclass(frozen=True)
class Part:
    """A member to be: a folder if its name ends with a slash."""

    name: str
    data: bytes


def some_parts(random: Random) -> list[Part]:
    """Mostly an adapter's two files, at the root or in one folder; the rest is anything."""
    folder = random.choice(_FOLDERS)
    count = random.choice((0, 1, 2, 2, 2, 2, 3, 66))
    if count == 2:
        names = [f"{folder}{name}" for name in (ADAPTER_MODEL, ADAPTER_CONFIG)]
    else:
        names = [random.choice(_FOLDERS[:5]) + random.choice(_NAMES) for _ in range(count)]
    parts = [Part(name, _some_data(random)) for name in names]
    if folder == "adapter/" and random.random() < 0.5:
        parts.insert(0, Part(folder, b""))
    return parts


def _some_data(random: Random) -> bytes:
    size = random.choice((0, 2, 2, 100, 511, 512, 513, 2000))
    return random.randbytes(size) if random.random() < 0.5 else bytes(size)
