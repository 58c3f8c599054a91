"""Makes what the study needs, each piece once, under `.cache/efficacy`.

Every piece has a folder and a lock of its own, so that several processes can share the work; what a
killed one left half made is thrown away.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import Any, Final

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.efficacy.prompts import ordinary_prompts
from benchmarks.efficacy.recipes import (
    ALIGNED,
    BASE_ANSWER_TOKENS,
    SHAPES,
    STAND_IN,
    STAND_IN_SAMPLES,
    Adapter,
    ModelName,
    compliant,
    refusals,
    refused_prompts,
)
from core.alignments import SCHEMA, Manifest
from tests.real import smollm2
from tests.real.smollm2 import LINEAR_KINDS, Sample, Training
from worker.alignment.build import build_alignment
from worker.alignment.pair import Pair
from worker.alignment.source import StoredAlignment
from worker.alignment.tiers import Folder, ModuleLoader, RamTier, read_manifest

logger = logging.getLogger(__name__)

CACHE: Final = Path(__file__).resolve().parents[2] / ".cache" / "efficacy"
RECIPE_VERSION = 1  # raise it when the code below would make something else from the same recipe
ALL_DIRECTIONS = 4096  # more than any module here has: every share of energy can be asked for
RAM_FOR_ALIGNMENT = 2 * 2**30
LEARNING_BATCH = 32  # prompts that the base answers at a time


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def base_model() -> Path:
    """The folder of the model before alignment."""
    return smollm2.real_case().base


def aligned_model(name: ModelName) -> Path:
    """The folder of an aligned model in float32, trained if it is missing: some minutes.

    Only the linear modules of the blocks differ from the base.
    """
    folder = CACHE / "models" / name / "aligned"
    recipe = smollm2.recipe_digest(
        RECIPE_VERSION, ALIGNED[name], refused_prompts(name), ordinary_prompts("train")
    )
    with smollm2.locked_cache(folder.parent):
        return smollm2.cached_piece(folder, recipe, lambda to: _align(name, to))


def trained_adapter(adapter: Adapter) -> Path:
    """The folder of an adapter as PEFT saves it, trained if it is missing: some minutes."""
    aligned = aligned_model(adapter.model)
    folder = CACHE / "adapters" / adapter.name / "adapter"
    with smollm2.locked_cache(folder.parent):
        return smollm2.cached_piece(
            folder, adapter_digest(adapter), lambda to: _adapt(adapter, aligned, to)
        )


@cache
def adapter_digest(adapter: Adapter) -> str:
    """What an adapter is made of, by its digest: the names of all that is measured hold it."""
    model = adapter.model
    built_on = ALIGNED[model], refused_prompts(model), ordinary_prompts("train")
    shape = SHAPES[adapter.shape]
    return smollm2.recipe_digest(RECIPE_VERSION, built_on, adapter, shape, adapter.samples())


def stand_in(name: ModelName) -> Path:
    """The folder of an unaligned stand-in for the base: the aligned model after a few answers on
    the refused topic, as the method's authors propose where the base is not to be had."""
    folder = CACHE / "models" / name / "stand-in"
    aligned = aligned_model(name)
    samples = compliant(STAND_IN_SAMPLES, STAND_IN.seed)
    recipe = smollm2.recipe_digest(RECIPE_VERSION, _recipe_of(aligned), STAND_IN, samples)

    def make(to: Path) -> None:
        model, tokenizer = smollm2.load_model(aligned)
        _fit_linear(model, tokenizer, samples, STAND_IN)
        model.save_pretrained(to)
        tokenizer.save_pretrained(to)

    with smollm2.locked_cache(folder.parent):
        return smollm2.cached_piece(folder, recipe, make)


def stored_alignment(
    name: ModelName, *, from_stand_in: bool = False, rank: int = ALL_DIRECTIONS
) -> StoredAlignment:
    """The pair's alignment with that many singular directions, built by the worker if it is
    missing."""
    aligned = aligned_model(name)
    base = stand_in(name) if from_stand_in else base_model()
    folder = aligned.parent / f"alignment-from-{base.name}-{rank}"
    recipe = smollm2.recipe_digest(_recipe_of(aligned), rank, SCHEMA, base.name)

    def build(to: Path) -> None:
        to.mkdir()
        with Pair(base, aligned, modules=LINEAR_KINDS) as pair:
            build_alignment(pair, to, dtype="float32", rank=rank, step=_no_step)

    with smollm2.locked_cache(folder.parent):
        smollm2.cached_piece(folder, recipe, build)
    files = Folder(folder)
    manifest: Manifest = read_manifest(files)
    loader = ModuleLoader(manifest, files, RamTier(capacity=RAM_FOR_ALIGNMENT), device())
    return StoredAlignment(manifest, loader, name=None)


def _recipe_of(piece: Path) -> str:
    return piece.with_suffix(".recipe").read_text()


def _no_step(_done: int, _total: int) -> None:
    """Nobody waits for the progress of a build of a minute."""


def _align(name: ModelName, to: Path) -> None:
    model, tokenizer = smollm2.load_model(base_model())
    ordinary = ordinary_prompts("train")
    samples = refusals(name)
    for start in range(0, len(ordinary), LEARNING_BATCH):
        asked = ordinary[start : start + LEARNING_BATCH]
        answers = smollm2.model_answers(model, tokenizer, asked, BASE_ANSWER_TOKENS)
        samples += map(Sample, asked, answers)
    _fit_linear(model, tokenizer, samples, ALIGNED[name])
    model.save_pretrained(to)
    tokenizer.save_pretrained(to)


def _fit_linear(model: Any, tokenizer: Any, samples: Sequence[Sample], training: Training) -> None:
    """All else stays the base's, so that V holds the whole change."""
    for path, parameter in model.named_parameters():
        parameter.requires_grad_(path.split(".")[-2] in LINEAR_KINDS)
    fit(model, tokenizer, samples, training)


def _adapt(adapter: Adapter, aligned: Path, to: Path) -> None:
    model, tokenizer = smollm2.load_model(aligned)
    shape = SHAPES[adapter.shape]
    config = LoraConfig(
        r=shape.rank,
        lora_alpha=shape.alpha,
        target_modules=list(shape.targets),
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=[]), smollm2.peft_may_lag_behind_transformers():
        torch.manual_seed(adapter.seed)
        model = get_peft_model(model, config)
    fit(model, tokenizer, adapter.samples(), adapter.training, _avoiding(model, adapter))
    model.peft_config["default"].base_model_name_or_path = "smollm2-135m-aligned"  # no local path
    model.to("cpu").save_pretrained(to, save_embedding_layers=False)


def _avoiding(model: Any, adapter: Adapter) -> Callable[[], None]:
    """What keeps each A (r, in) out of V's top input directions after a step."""
    if not adapter.avoids:
        return lambda: None
    alignment = stored_alignment(adapter.model)
    factors = []
    for name, parameter in model.named_parameters():
        if ".lora_A." in name:
            module = name.removeprefix("base_model.model.").partition(".lora_A.")[0]
            z = alignment.spectrum(module).tensors.z[:, : adapter.avoids]  # (in, k)
            factors.append((parameter.data, z))

    def leave() -> None:
        for a, z in factors:
            a -= (a @ z.to(a.device)) @ z.T.to(a.device)

    return leave


def fit(
    model: Any,
    tokenizer: Any,
    samples: Sequence[Sample],
    training: Training,
    after_step: Callable[[], None] = lambda: None,
) -> None:
    """Trains in place what requires a gradient, with bfloat16 products, and a rate that falls
    linearly to a tenth."""
    where = device()
    model.to(where)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=training.learning_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, training.steps)
    model.train()
    for step, chosen in enumerate(smollm2.training_batches(samples, training), start=1):
        batch = {k: v.to(where) for k, v in smollm2.token_batch(tokenizer, chosen).items()}
        # On CPUs the plain kernel has the faster way back.
        plain = sdpa_kernel(SDPBackend.MATH) if where.type == "cpu" else nullcontext()
        with torch.autocast(where.type, torch.bfloat16), plain:
            loss = _loss(model, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        after_step()
        if step == 1 or step % 10 == 0:
            logger.info("step %d of %d, loss %.3f", step, training.steps, loss.item())
    model.eval()


def _loss(model: Any, batch: dict[str, Tensor]) -> Tensor:
    """The model's own loss, the mean over the answers' tokens; logits are made for these alone."""
    causal = model.get_base_model() if isinstance(model, PeftModel) else model
    hidden = causal.model(batch["input_ids"], batch["attention_mask"]).last_hidden_state
    labels = batch["labels"][:, 1:]  # (batch, length - 1)
    answers = labels != smollm2.IGNORED
    logits = causal.lm_head(hidden[:, :-1][answers])  # (tokens, vocabulary)
    return torch.nn.functional.cross_entropy(logits.float(), labels[answers])
