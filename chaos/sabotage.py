"""Breaks the service on purpose: `python -m chaos.sabotage NAME MODULE ARGUMENTS…`.

One thing of the product is replaced, and the module is run as `python -m MODULE ARGUMENTS…` would.
An auditor that finds nothing then proves nothing.
"""

import hashlib
import runpy
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from core.jobs import JobRequest
from core.records import Records
from core.store.layout import ADAPTER_MODEL
from core.store.local import LocalStore
from core.store.s3 import S3Store

Method = Callable[..., Any]

ONE_IN = 20
_WORDS = ("/result.json", "/commit.json")


def unconditional_commit() -> None:
    """How a job ended, and who won a recipe, is put whether there was a word before or not."""

    def always(put: Method) -> Method:
        def put_always(store: object, key: str, data: bytes, *, if_absent: bool = False) -> Any:
            return put(store, key, data, if_absent=if_absent and not key.endswith(_WORDS))

        return put_always

    _replace_in_stores("put", always)


def skip_reconcile() -> None:
    """The courier never looks for jobs that are accepted and not on the queue."""
    from worker import courier

    courier.reconcile = lambda *_: 0


def flip_byte() -> None:
    """One in twenty of the sanitized adapters has another last byte in the store."""

    def flipped(put_all: Method) -> Method:
        def put_flipped(store: object, objects: Mapping[str, bytes | Path]) -> Any:
            with TemporaryDirectory() as folder:
                others = {
                    key: _flipped(path, Path(folder))
                    for key, path in objects.items()
                    if isinstance(path, Path)
                    and key.endswith(f"/{ADAPTER_MODEL}")
                    and "/results/" in key
                    and is_drawn(key)
                }
                return put_all(store, {**objects, **others})

        return put_flipped

    _replace_in_stores("put_all", flipped)


def _flipped(path: Path, folder: Path) -> Path:
    data = path.read_bytes()
    other = folder / path.name
    other.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    return other


def drop_job() -> None:
    """One in twenty of the jobs is accepted and not stored."""

    def mostly(accept: Method) -> Method:
        def accept_most(records: Records, request: JobRequest) -> None:
            if not is_drawn(request.id):
                accept(records, request)

        return accept_most

    _replace(Records, "accept", mostly)


@dataclass(frozen=True)
class Sabotage:
    """What to replace, and in which kinds of parts."""

    apply: Callable[[], None]
    kinds: tuple[str, ...]


SABOTAGES: Mapping[str, Sabotage] = {
    "unconditional_commit": Sabotage(unconditional_commit, ("api", "worker", "courier")),
    "skip_reconcile": Sabotage(skip_reconcile, ("courier",)),
    "flip_byte": Sabotage(flip_byte, ("worker",)),
    "drop_job": Sabotage(drop_job, ("api",)),
}


def entry(name: str) -> Callable[[str, list[str]], list[str]]:
    """For `Stack`: the command that runs a part with this sabotage, where it applies."""
    kinds = SABOTAGES[name].kinds

    def command(part: str, default: list[str]) -> list[str]:
        if part.partition("-")[0] not in kinds:
            return default
        python, _, *module = default
        return [python, "-m", "chaos.sabotage", name, *module]

    return command


def is_drawn(text: str) -> bool:
    """True for one in twenty, always the same ones."""
    return int(hashlib.sha256(text.encode()).hexdigest(), 16) % ONE_IN == 0


def main() -> None:
    name, module, *arguments = sys.argv[1:]
    SABOTAGES[name].apply()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _replace_in_stores(name: str, wrap: Callable[[Method], Method]) -> None:
    for kind in (S3Store, LocalStore):
        _replace(kind, name, wrap)


def _replace(owner: type, name: str, wrap: Callable[[Method], Method]) -> None:
    setattr(owner, name, wrap(getattr(owner, name)))


if __name__ == "__main__":
    main()
