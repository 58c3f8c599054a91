"""A model checkpoint, read one linear module at a time."""

import json
import math
import re
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from core.canonical import parse_json_strictly
from core.errors import AlignmentError
from worker.alignment.digests import WeightDigests
from worker.projection.norms import frobenius

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
CONV1D_MODELS = frozenset({"gpt2", "openai-gpt", "imagegpt", "decision_transformer"})
CONV1D_FAMILIES = frozenset({"c_attn", "c_fc", "c_proj", "q_attn"})
HEADS = frozenset({"lm_head", "embed_out"})
EMBEDDING = re.compile(
    r"(^|\.)(wte|wpe|shared|relative_attention_bias|(?!embed_out$)[a-z_]*(embed|embd)[a-z_]*)$"
)
INPUT_EMBEDDING = re.compile(r"(^|\.)(embed_tokens|wte|embed_in|word_embeddings|shared)$")
ROUTER = re.compile(r"(^|\.)(gate|gating|router|router_gate|shared_expert_gate)(\.|$)")
NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\Z")
FLOATS = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


@dataclass(frozen=True)
class WeightFacts:
    """A linear weight as (out, in), before it is read. `key` is its name in the checkpoint."""

    key: str
    file: Path
    shape: tuple[int, int]
    dtype: str
    conv1d: bool


class Checkpoint:
    """A folder with config.json and safetensors weights, single or sharded.

    Opens the files' headers only; `weight` reads one tensor. Use as a context manager. Raises
    `AlignmentError` for what is missing, quantised, pickled or unreadable.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = _read_config(folder)
        self.model_type = str(self.config.get("model_type", ""))
        self._stack = ExitStack()
        self._open: dict[Path, Any] = {}
        self._files = _weight_files(folder)
        self.weights, self.left_out = self._index(self._files)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def weight(self, module: str) -> Tensor:
        """The module's weight (out, in) in its own dtype."""
        facts = self.weights[module]
        tensor: Tensor = self._handle(facts.file).get_tensor(facts.key)
        if facts.conv1d:
            tensor = tensor.T  # Conv1D holds (in, out)
        if not math.isfinite(frobenius(tensor)):  # one NaN or infinity makes the sum one
            raise AlignmentError(
                f"{facts.key} in {facts.file.name} holds NaN or infinities: the checkpoint is"
                " damaged, fetch it again",
                code="checkpoint_non_finite",
            )
        return tensor

    @cached_property
    def digests(self) -> WeightDigests:
        """Of every tensor; a tied head's under the name that its weight would have."""
        names = {f"{module}.weight": facts.key for module, facts in self.weights.items()}
        return WeightDigests(self._files, names)

    def _handle(self, file: Path) -> Any:
        if file not in self._open:
            try:
                handle = safe_open(file, framework="pt")
            except (OSError, SafetensorError) as error:
                raise AlignmentError(
                    f"{file} cannot be read as safetensors: {error}", code="checkpoint_unreadable"
                ) from error
            self._open[file] = self._stack.enter_context(handle)
        return self._open[file]

    def _index(self, files: list[Path]) -> tuple[dict[str, WeightFacts], dict[str, str]]:
        """Modules by name, and every other weight matrix or kernel with the reason it is none."""
        weights: dict[str, WeightFacts] = {}
        left_out: dict[str, str] = {}
        embedding: WeightFacts | None = None
        seen: set[str] = set()
        for file in files:
            handle = self._handle(file)
            for key in handle.keys():  # noqa: SIM118  (no mapping: a safetensors handle)
                if key in seen:
                    raise AlignmentError(
                        f"{key} lies in two files of {self.folder}", code="checkpoint_ambiguous"
                    )
                seen.add(key)
                view = handle.get_slice(key)
                shape = tuple(view.get_shape())
                if len(shape) < 2 or not key.endswith(".weight"):
                    continue
                module = key.removesuffix(".weight")
                if len(shape) > 2:
                    left_out[module] = "more than two dimensions"
                    continue
                facts = self._facts(key, file, shape, view.get_dtype())
                if INPUT_EMBEDDING.search(module) and embedding is None:
                    embedding = facts
                reason = _not_a_module(module, facts)
                if reason:
                    left_out[module] = reason
                else:
                    weights[module] = facts
        tied = self.config.get("tie_word_embeddings", True)  # left out where it is the default
        if tied and embedding and not HEADS & weights.keys():
            weights["lm_head"] = embedding
        return weights, left_out

    def _facts(self, key: str, file: Path, shape: tuple[int, ...], dtype: str) -> WeightFacts:
        module = key.removesuffix(".weight")
        conv1d = self.model_type in CONV1D_MODELS and module.rpartition(".")[2] in CONV1D_FAMILIES
        out_in = (shape[1], shape[0]) if conv1d else (shape[0], shape[1])
        return WeightFacts(key, file, out_in, dtype, conv1d)


def _not_a_module(module: str, facts: WeightFacts) -> str | None:
    if EMBEDDING.search(module):
        return "embedding"
    if ROUTER.search(module):
        return "router"
    if facts.dtype not in FLOATS:
        return f"dtype {facts.dtype}"
    if not NAME.match(module):
        return "name with unusual characters"
    if 0 in facts.shape:
        return "empty"
    return None


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        config = parse_json_strictly(path.read_bytes())
    except FileNotFoundError as error:
        raise AlignmentError(
            f"{folder} is no checkpoint: it has no config.json", code="checkpoint_missing"
        ) from error
    except (OSError, ValueError) as error:
        raise AlignmentError(
            f"{path} cannot be read as JSON: {error}", code="checkpoint_unreadable"
        ) from error
    if not isinstance(config, dict):
        raise AlignmentError(f"{path} is no JSON object", code="checkpoint_unreadable")
    if config.get("quantization_config"):
        method = config["quantization_config"].get("quant_method", "unknown")
        raise AlignmentError(
            f"{folder} is quantised ({method}): register the checkpoint it was made from",
            code="checkpoint_quantised",
        )
    return config


def _weight_files(folder: Path) -> list[Path]:
    """The safetensors files, by index, single name, or all that lie there."""
    index = folder / INDEX
    if index.is_file():
        return _indexed_files(folder, index)
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    if any(folder.glob("pytorch_model*.bin")):
        raise AlignmentError(
            f"{folder} holds pickled weights, which are never opened. Convert them where you trust"
            " them: AutoModelForCausalLM.from_pretrained(...).save_pretrained(...,"
            " safe_serialization=True)",
            code="checkpoint_pickled",
        )
    raise AlignmentError(f"{folder} holds neither {SINGLE} nor {INDEX}", code="checkpoint_missing")


def _indexed_files(folder: Path, index: Path) -> list[Path]:
    try:
        weight_map = json.loads(index.read_bytes())["weight_map"]
        names = sorted(set(weight_map.values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise AlignmentError(
            f"{index} has no readable weight_map", code="checkpoint_unreadable"
        ) from error
    files = [folder / str(name) for name in names]
    for file in files:
        if file.parent != folder or not file.is_file():
            raise AlignmentError(
                f"{index} names {file.name}, which is not in {folder}: the download is incomplete",
                code="checkpoint_missing",
            )
    return files
