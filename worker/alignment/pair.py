"""A pair of checkpoints: which modules both have, checked to be of one shape."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from core.alignments import DtypeRule
from core.errors import AlignmentError
from worker.alignment.checkpoint import Checkpoint
from worker.alignment.checkpoint_files.base import CheckpointFiles
from worker.alignment.difference import Difference, Room, difference

NOT_ASKED_FOR = "not asked for"


@dataclass(frozen=True)
class ModuleShape:
    """(out, in) of a module's weight; `conv1d` if the checkpoint holds it as (in, out)."""

    out_features: int
    in_features: int
    conv1d: bool


class Pair:
    """Base and aligned model side by side. Use as a context manager. Raises `AlignmentError`."""

    def __init__(
        self,
        base: Path | CheckpointFiles,
        aligned: Path | CheckpointFiles,
        *,
        modules: Sequence[str] | None = None,
    ) -> None:
        with ExitStack() as stack:
            self.base = stack.enter_context(Checkpoint(base))
            self.aligned = stack.enter_context(Checkpoint(aligned))
            self.shapes, self.left_out = self._compare(modules)
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files; who is reading them in another thread gets an error."""
        self._stack.close()

    @property
    def model_type(self) -> str:
        return self.aligned.model_type

    @property
    def not_asked_for(self) -> frozenset[str]:
        """Modules that the pair has and the alignment shall not have."""
        return frozenset(n for n, reason in self.left_out.items() if reason == NOT_ASKED_FOR)

    def difference(self, module: str, rule: DtypeRule, room: Room | None = None) -> Difference:
        """V of one module. Reads its two weights once, and notes the aligned one's digest.

        With `room`, V lies there, until the next one is made in it.
        """
        made = difference(self.aligned, self.base, module, rule, room or Room())
        self.aligned.digests.add(f"{module}.weight", made.aligned_sha256)
        return made

    def _compare(
        self, modules: Sequence[str] | None
    ) -> tuple[dict[str, ModuleShape], dict[str, str]]:
        if self.base.model_type != self.aligned.model_type:
            raise AlignmentError(
                f"the base model is a {self.base.model_type or 'model of no type'} and the aligned"
                f" one a {self.aligned.model_type or 'model of no type'}: register two checkpoints"
                " of one architecture",
                code="pair_architecture_differs",
            )
        left_out = {**self.base.left_out, **self.aligned.left_out}
        shapes: dict[str, ModuleShape] = {}
        for name in sorted(self.base.weights.keys() | self.aligned.weights.keys()):
            reason = self._mismatch(name)
            if reason is None:
                facts = self.aligned.weights[name]
                shapes[name] = ModuleShape(*facts.shape, facts.conv1d)
            elif name == "lm_head":
                left_out[name] = reason  # vocabularies may differ where no module needs them
            else:
                raise AlignmentError(
                    f"{name}: {reason}; register two checkpoints of one model",
                    code="pair_shapes_differ",
                    module=name,
                )
        return _restricted(shapes, left_out, modules)

    def _mismatch(self, name: str) -> str | None:
        base, aligned = self.base.weights.get(name), self.aligned.weights.get(name)
        if base is None or aligned is None:
            return "only in the " + ("aligned" if base is None else "base") + " model"
        if base.shape != aligned.shape:
            return f"shape {list(base.shape)} in the base model, {list(aligned.shape)} in the other"
        return None


def _restricted(
    shapes: dict[str, ModuleShape], left_out: dict[str, str], modules: Sequence[str] | None
) -> tuple[dict[str, ModuleShape], dict[str, str]]:
    """Only the modules that end in one of the names given, if any are."""
    if modules is not None:
        kept = {
            name: shape
            for name, shape in shapes.items()
            if any(name == m or name.endswith(f".{m}") for m in modules)
        }
        unknown = [m for m in modules if not any(n == m or n.endswith(f".{m}") for n in shapes)]
        if unknown:
            raise AlignmentError(
                f"the pair has no module named {', '.join(unknown)}", code="module_not_in_pair"
            )
        left_out = {**left_out, **dict.fromkeys(shapes.keys() - kept.keys(), NOT_ASKED_FOR)}
        shapes = kept
    if not shapes:
        raise AlignmentError("the pair has no linear module in common", code="pair_without_modules")
    return shapes, left_out
