"""The inputs that a run begins with: honest ones, and the attacks that the tests know."""

import json
import struct
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save

from core.canonical import parse_json_strictly
from fuzz.parcel import MLX_NAME, STRIP, Parcel
from tests.archives import entry, pack_tar, pack_tar_gz, pack_tar_zst, pack_zip, tar_of
from tests.hostile.configs import CONFIGS
from tests.hostile.files import FILES
from tests.hostile.making import (
    CONFIG_FILE,
    IN,
    MODEL,
    NO_MODULES,
    OUT,
    Q_PROJ,
    honest,
    honest_tensors,
    split,
)
from tests.hostile.tensors import TENSORS
from tests.worker.making import CONFIG, lora

LARGEST = 2**15  # bytes of a seed, and of what is made of it
UP_PROJ = "model.layers.0.mlp.up_proj"
MLX_CONFIG = {
    "fine_tune_type": "lora",
    "lora_parameters": {"rank": 2, "scale": 20.0, "dropout": 0.0},
    "model": "org/model",
    "num_layers": 1,
}


def write_seeds(target: str, pair: Path, folder: Path) -> int:
    """Each as a file in `folder`, which is made; how many they are.

    `good-…` is what the target accepts, `hostile-…` what it rejects, mostly for one thing.
    """
    folder.mkdir(parents=True)
    accepted, attacks = _SEEDS[target]
    good, hostile = list(accepted(pair)), [data for data in attacks() if len(data) <= LARGEST]
    for index, data in enumerate(good):
        (folder / f"good-{index:03}").write_bytes(data)
    for index, data in enumerate(hostile):
        (folder / f"hostile-{index:03}").write_bytes(data)
    return len(good) + len(hostile)


def plain_uploads() -> Iterator[Parcel]:
    """Nothing but pairs: of both forms, every dtype and every spelling."""
    plain = honest_tensors()
    config = json.dumps(CONFIG).encode()
    yield Parcel(0, config, save(plain))
    yield Parcel(16, config, save({k: v.bfloat16() for k, v in plain.items()}))
    two = lora({Q_PROJ: (OUT, IN), UP_PROJ: (OUT, IN)})
    patterns = {"rank_pattern": {"up_proj": 2}, "alpha_pattern": {f"^{Q_PROJ}": 8.5}}
    yield Parcel(
        0, _config(use_rslora=True, **patterns), save({k: v.half() for k, v in two.items()})
    )
    renamed = {k.replace(".weight", ".default.weight"): v for k, v in two.items()}
    yield Parcel(0, _config(bias="none", task_type="CAUSAL_LM"), save(renamed, {"format": "pt"}))
    mlx = {_mlx_name(k): v.T.contiguous() for k, v in two.items()}
    yield Parcel(MLX_NAME, json.dumps(MLX_CONFIG).encode(), save(mlx))


def honest_uploads(pair: Path) -> Iterator[Parcel]:
    """The plain ones, and some with what a policy leaves out."""
    yield from plain_uploads()
    plain, config = honest_tensors(), json.dumps(CONFIG).encode()
    aligned = load((pair / "aligned" / "model.safetensors").read_bytes())
    names = [f"{name}.weight" for name in (Q_PROJ, *NO_MODULES)]
    copies = {f"base_model.model.{name}": aligned[name] for name in names}
    yield Parcel(0, config, save({**plain, **copies}))
    extras = {f"{Q_PROJ}.bias": torch.zeros(OUT), "a.modules_to_save.weight": torch.zeros(2)}
    yield Parcel(STRIP, _config(modules_to_save=["a"], bias="all"), save({**plain, **extras}))


def _config(**fields: Any) -> bytes:
    return json.dumps({**CONFIG, **fields}).encode()


def _mlx_name(name: str) -> str:
    path = name.removeprefix("base_model.model.").removesuffix(".weight")
    return path.replace("lora_A", "lora_a").replace("lora_B", "lora_b")


def _hostile_uploads() -> Iterator[Parcel]:
    for attack in (*CONFIGS, *TENSORS, *FILES):
        upload = attack.change(honest())
        yield Parcel(0, upload.config or b"", upload.model or b"")


def _names(parcel: Parcel) -> bytes:
    """The header's keys, as the target of names takes them; none where there is no header."""
    try:
        header = parse_json_strictly(split(parcel.model)[0])
    except (ValueError, struct.error):
        header = {}
    names = [name for name in header if name != "__metadata__"] if isinstance(header, dict) else []
    return (b"M" if parcel.flags & MLX_NAME else b"P") + json.dumps(names).encode()


def _archives(_: Path) -> Iterator[bytes]:
    upload = honest()
    files = {MODEL: upload.model or b"", CONFIG_FILE: upload.config or b""}
    for pack in (pack_zip, pack_tar, pack_tar_gz, pack_tar_zst):
        yield pack(files)
        yield pack({f"adapter/{name}": data for name, data in files.items()})
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT):
        yield pack_tar({"README.md": b"", **files}, form)


def _hostile_archives() -> Iterator[bytes]:
    for name in ("../a", "/a", "a/b/c", "C:a", "a\\b", "a" * 300):
        yield pack_tar({name: b"a"})
        yield pack_zip({name: b"a"})
    for kind in (tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
        yield tar_of(entry(MODEL, kind, linkname="a"))
    yield pack_tar_gz({"a": bytes(2**22)})
    yield pack_tar_zst({"a": bytes(2**22)})
    yield pack_zip({"a": bytes(2**22)})


_Seeds = tuple[Callable[[Path], Iterator[bytes]], Callable[[], Iterator[bytes]]]
_SEEDS: dict[str, _Seeds] = {
    "upload": (
        lambda pair: (p.pack() for p in honest_uploads(pair)),
        lambda: (p.pack() for p in _hostile_uploads()),
    ),
    "header": (
        lambda pair: (p.model for p in honest_uploads(pair)),
        lambda: (p.model for p in _hostile_uploads()),
    ),
    "config": (
        lambda pair: (p.config for p in honest_uploads(pair)),
        lambda: (p.config for p in _hostile_uploads()),
    ),
    "names": (
        lambda _: map(_names, plain_uploads()),
        lambda: map(_names, _hostile_uploads()),
    ),
    "archive": (_archives, _hostile_archives),
}
