"""A model checkpoint: which of its tensors are weights of linear modules, and where they lie."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from core.canonical import parse_json_strictly
from core.errors import AlignmentError
from worker.alignment.checkpoint_files.base import CheckpointFiles
from worker.alignment.checkpoint_files.folder import FolderFiles
from worker.alignment.digests import WeightDigests
from worker.alignment.tensors import StoredTensor, read_small, stored_tensors

MAX_CONFIG_BYTES = 2**20
CONV1D_MODELS = frozenset({"gpt2", "openai-gpt", "imagegpt", "decision_transformer"})
CONV1D_FAMILIES = frozenset({"c_attn", "c_fc", "c_proj", "q_attn"})
HEADS = frozenset({"lm_head", "embed_out"})
EMBEDDING = re.compile(
    r"(^|\.)(wte|wpe|shared|relative_attention_bias|(?!embed_out$)[a-z_]*(embed|embd)[a-z_]*)$"
)
INPUT_EMBEDDING = re.compile(r"(^|\.)(embed_tokens|wte|embed_in|word_embeddings|shared)$")
ROUTER = re.compile(r"(^|\.)(gate|gating|router|router_gate|shared_expert_gate)(\.|$)")
NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\Z")
FLOATS = frozenset({"F32", "F16", "BF16"})


@dataclass(frozen=True)
class WeightFacts:
    """A linear weight as (out, in), before it is read; its tensor is the other way round where it
    is of a `conv1d`."""

    tensor: StoredTensor
    shape: tuple[int, int]
    conv1d: bool

    @property
    def dtype(self) -> str:
        return self.tensor.dtype


class Checkpoint:
    """config.json and safetensors weights, single or sharded, in a folder or wherever `files` lie.

    Reads the files' headers only. `digests` has every tensor; a tied head under the name that its
    weight would have. Use as a context manager. Raises `AlignmentError` for what is
    missing, quantised, pickled or unreadable.
    """

    def __init__(self, source: Path | CheckpointFiles) -> None:
        self.files = FolderFiles(source) if isinstance(source, Path) else source
        self.config = _read_config(self.files)
        self.model_type = str(self.config.get("model_type", ""))
        self.tensors = stored_tensors(self.files)
        self.weights, self.left_out = self._sorted()
        names = {f"{module}.weight": facts.tensor.key for module, facts in self.weights.items()}
        self.digests = WeightDigests(self.files, self.tensors, names)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.files.close()

    def _sorted(self) -> tuple[dict[str, WeightFacts], dict[str, str]]:
        """Modules by name, and every other weight matrix or kernel with the reason it is none."""
        weights: dict[str, WeightFacts] = {}
        left_out: dict[str, str] = {}
        embedding: WeightFacts | None = None
        for key, tensor in self.tensors.items():
            if len(tensor.shape) < 2 or not key.endswith(".weight"):
                continue
            module = key.removesuffix(".weight")
            if len(tensor.shape) > 2:
                left_out[module] = "more than two dimensions"
                continue
            facts = self._facts(module, tensor)
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

    def _facts(self, module: str, tensor: StoredTensor) -> WeightFacts:
        conv1d = self.model_type in CONV1D_MODELS and module.rpartition(".")[2] in CONV1D_FAMILIES
        rows, columns = tensor.shape
        return WeightFacts(tensor, (columns, rows) if conv1d else (rows, columns), conv1d)


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


def _read_config(files: CheckpointFiles) -> dict[str, Any]:
    if "config.json" not in files.sizes:
        raise AlignmentError(
            f"{files.place} is no checkpoint: it has no config.json", code="checkpoint_missing"
        )
    try:
        config = parse_json_strictly(read_small(files, "config.json", MAX_CONFIG_BYTES))
    except ValueError as error:
        raise AlignmentError(
            f"config.json of {files.place} cannot be read as JSON: {error}",
            code="checkpoint_unreadable",
        ) from error
    if not isinstance(config, dict):
        raise AlignmentError(
            f"config.json of {files.place} is no JSON object", code="checkpoint_unreadable"
        )
    if quantised := config.get("quantization_config"):
        method = quantised.get("quant_method") if isinstance(quantised, dict) else quantised
        raise AlignmentError(
            f"{files.place} is quantised ({method!s:.40}): register what it was made from",
            code="checkpoint_quantised",
        )
    return config
