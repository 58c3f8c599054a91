"""An upload in memory, and single changes to it: what trainers, converters and attackers do."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

MODEL, CONFIG = "adapter_model.safetensors", "adapter_config.json"
PREFIX = "base_model.model."
FACTORS = ("A", "B")


@dataclass(frozen=True)
class Upload:
    """The two files of an adapter."""

    tensors: Mapping[str, Tensor]
    config: Mapping[str, Any]

    @property
    def names(self) -> list[str]:
        return sorted(self.tensors)

    @property
    def paths(self) -> list[str]:
        """Modules with a lora_A in the canonical spelling."""
        ending = ".lora_A.weight"
        return [
            name.removeprefix(PREFIX).removesuffix(ending)
            for name in self.names
            if name.startswith(PREFIX) and name.endswith(ending)
        ]

    def write(self, folder: Path) -> Path:
        folder.mkdir()
        save_file({k: t.clone().contiguous() for k, t in self.tensors.items()}, folder / MODEL)
        (folder / CONFIG).write_text(json.dumps(dict(self.config)))
        return folder


Change = Callable[[Upload], Upload]


def read_upload(folder: Path) -> Upload:
    return Upload(load_file(folder / MODEL), json.loads((folder / CONFIG).read_text()))


def factor_name(path: str, factor: str) -> str:
    return f"{PREFIX}{path}.lora_{factor}.weight"


def picked(items: list[str], index: int) -> list[str]:
    """One of them, in turn; none of none."""
    return [items[index % len(items)]] if items else []


def field(name: str, value: Any) -> Change:
    return lambda upload: replace(upload, config={**upload.config, name: value})


def without_field(name: str) -> Change:
    def change(upload: Upload) -> Upload:
        kept = {key: value for key, value in upload.config.items() if key != name}
        return replace(upload, config=kept)

    return change


def added(tensors: Mapping[str, Tensor]) -> Change:
    return lambda upload: replace(upload, tensors={**upload.tensors, **tensors})


def renamed(rename: Callable[[str], str], which: Callable[[str], bool]) -> Change:
    def change(upload: Upload) -> Upload:
        tensors = {rename(n) if which(n) else n: t for n, t in upload.tensors.items()}
        return replace(upload, tensors=tensors)

    return change


def respelled_twin(index: int, rename: Callable[[str], str]) -> Change:
    """A second spelling of one module's factors beside the first."""

    def change(upload: Upload) -> Upload:
        names = [factor_name(p, f) for p in picked(upload.paths, index) for f in FACTORS]
        present = [n for n in names if n in upload.tensors]
        return added({rename(n): upload.tensors[n].clone() for n in present})(upload)

    return change


def each_tensor(alter: Callable[[Tensor], Tensor], which: Callable[[str], bool]) -> Change:
    def change(upload: Upload) -> Upload:
        tensors = {n: alter(t) if which(n) else t for n, t in upload.tensors.items()}
        return replace(upload, tensors=tensors)

    return change


def one_tensor(index: int, alter: Callable[[Tensor], Tensor]) -> Change:
    def change(upload: Upload) -> Upload:
        chosen = picked(upload.names, index)
        return each_tensor(alter, chosen.__contains__)(upload)

    return change


def without_tensor(index: int) -> Change:
    return lambda upload: _without(upload, picked(upload.names, index))


def without_module(index: int) -> Change:
    """Both factors of one module are gone; the config still targets it."""

    def change(upload: Upload) -> Upload:
        chosen = picked(upload.paths, index)
        return _without(upload, [factor_name(p, f) for p in chosen for f in FACTORS])

    return change


def cut_to_rank(index: int, rank: int, *, told: bool) -> Change:
    """One module has a lower rank than the others, which rank_pattern tells or not."""

    def change(upload: Upload) -> Upload:
        for path, (a, b) in _factors(upload, index).items():
            cut = {factor_name(path, "A"): a[:rank], factor_name(path, "B"): b[:, :rank]}
            pattern = {f"^{path}": rank, **_patterns(upload, "rank_pattern")}
            upload = added(cut)(upload)
            upload = field("rank_pattern", pattern)(upload) if told else upload
        return upload

    return change


def pattern_of_one(name: str, index: int, spell: Callable[[str], str], value: Any) -> Change:
    """A key for one module at the front of rank_pattern or alpha_pattern."""

    def change(upload: Upload) -> Upload:
        keys = {spell(path): value for path in picked(upload.paths, index)}
        return field(name, {**keys, **_patterns(upload, name)})(upload)

    return change


def swapped_factors(index: int) -> Change:
    def change(upload: Upload) -> Upload:
        for path, (a, b) in _factors(upload, index).items():
            upload = added({factor_name(path, "A"): b, factor_name(path, "B"): a})(upload)
        return upload

    return change


def cancelling(index: int, size: float) -> Change:
    """Factors with a part of this size that multiplies out to nothing; shapes stay."""

    def change(upload: Upload) -> Upload:
        for path, (a, b) in _factors(upload, index).items():
            if len(a) > 1 and a.is_floating_point() and b.is_floating_point():
                rows, columns = a.clone(), b.clone()
                rows[1] = -rows[0]
                columns[:, :2] += size
                changed = {factor_name(path, "A"): rows, factor_name(path, "B"): columns}
                upload = added(changed)(upload)
        return upload

    return change


def in_turn(changes: Iterable[Change], upload: Upload) -> Upload:
    for change in changes:
        upload = change(upload)
    return upload


def _without(upload: Upload, names: Iterable[str]) -> Upload:
    gone = set(names)
    return replace(upload, tensors={n: t for n, t in upload.tensors.items() if n not in gone})


def _factors(upload: Upload, index: int) -> dict[str, tuple[Tensor, Tensor]]:
    """A and B of one module by its path, if both are matrices under canonical names."""
    found = {}
    for path in picked(upload.paths, index):
        a, b = (upload.tensors.get(factor_name(path, factor)) for factor in FACTORS)
        if a is not None and b is not None and a.dim() == b.dim() == 2:
            found[path] = (a, b)
    return found


def _patterns(upload: Upload, name: str) -> dict[str, Any]:
    present = upload.config.get(name)
    return dict(present) if isinstance(present, dict) else {}
