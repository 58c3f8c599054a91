"""What is odd about a pair: said, with numbers, and only where it is."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from core.alignments import PairWarning
from tests.worker.alignment.building import MODULES, Site, folder_at, nothing
from tests.worker.making import generator, save_checkpoint
from worker.alignment.checkpoint_files.folder import FolderFiles
from worker.alignment.registration import register
from worker.alignment.warnings import FAR_APART, swap_warnings

SHAPE = (12, 10)
CHAT = {"tokenizer_config.json": {"chat_template": "{{ messages }}"}}
PLAIN = {"tokenizer_config.json": {"model_max_length": 4096}}


def warned(
    folder: Path, moved: dict[str, float], *, others: float = 0.02
) -> dict[str, PairWarning]:
    """Warnings by code, of a pair whose modules differ by these parts of their norm; the last of
    them is a tenth of the others in size."""
    random = generator(3)
    site = Site(folder)
    base, aligned = {}, {}
    for name in MODULES:
        weight, change = torch.randn(2, *SHAPE, generator=random)
        weight *= 0.1 if name == MODULES[-1] else 1.0
        change *= moved.get(name, others) * weight.norm() / change.norm()
        base[f"{name}.weight"], aligned[f"{name}.weight"] = weight, weight + change
    pair = (
        save_checkpoint(folder / "base", base),
        save_checkpoint(folder / "aligned", aligned),
    )
    ready = register(site.record(pair), site.records, folder_at, site.cache, step=nothing)
    assert ready is not None
    return {warning.code: warning for warning in ready.warnings}


def test_an_ordinary_pair_has_none(tmp_path: Path) -> None:
    """Every module moved by a few per cent, one by four times as much."""
    assert warned(tmp_path, {MODULES[0]: 0.08}) == {}


@pytest.mark.parametrize("apart", [2 * FAR_APART, 5.0])
def test_models_that_are_far_apart_are_named_with_their_ratio(tmp_path: Path, apart: float) -> None:
    """‖V‖/‖W_aligned‖ over all modules, as the message has it."""
    found = warned(tmp_path, {}, others=apart)
    assert list(found) == ["pair_far_apart"]
    expected = apart / (1 + apart**2) ** 0.5  # what is added is as good as orthogonal
    shown = float(found["pair_far_apart"].message.split(" differ by ")[1].split(" of ")[0])
    assert shown == pytest.approx(expected, abs=0.1)


def test_a_module_that_is_far_apart_alone_is_named(tmp_path: Path) -> None:
    """Its name and ratio, where the whole of the pair is close."""
    [warning] = warned(tmp_path, {MODULES[-1]: 3.0}).values()
    assert warning.code == "pair_far_apart"
    assert f"1 of {len(MODULES)} modules" in warning.message
    assert [name for name in MODULES if name in warning.message] == [MODULES[-1]]


def test_modules_that_are_equal_in_both_are_counted(tmp_path: Path) -> None:
    """With some of their names, and what becomes of adapters that touch them."""
    [warning] = warned(tmp_path, dict.fromkeys(MODULES[:2], 0.0)).values()
    assert warning.code == "modules_identical"
    assert warning.message.startswith(f"2 of {len(MODULES)} modules")
    assert all((name in warning.message) == (name in MODULES[:2]) for name in MODULES)
    assert "no_alignment_signal" in warning.message


def files(place: Path, contents: dict[str, Any]) -> FolderFiles:
    place.mkdir(parents=True)
    for name, content in contents.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (place / name).write_text(text)
    return FolderFiles(place)


@pytest.mark.parametrize(
    ("base", "aligned", "why"),
    [
        ("Llama-2-7b-chat-hf", "Llama-2-7b-hf", 'the base\'s name says "chat"'),
        ("gemma-2-9b-it", "gemma-2-9b", 'the base\'s name says "it"'),
        ("Qwen3-8B", "Qwen3-8B-Base", 'the aligned one\'s name says "base"'),
    ],
)
def test_names_the_wrong_way_round_are_said(
    tmp_path: Path, base: str, aligned: str, why: str
) -> None:
    """With the word, and with what swapping them changes; the other way round, nothing."""
    first, second = files(tmp_path / base, {}), files(tmp_path / aligned, {})
    [warning] = swap_warnings(first, second)
    assert warning.code == "pair_swapped"
    assert why in warning.message
    assert "`signed` and `undo` change sign" in warning.message
    assert str(tmp_path) not in warning.message
    assert swap_warnings(second, first) == []


@pytest.mark.parametrize(
    ("base", "aligned"),
    [
        ("it/llama", "models/llama-tuned"),
        ("chat-team/llama", "srv/llama"),
        ("m/x", "base-m/x-safe"),
    ],
)
def test_folders_above_the_model_say_nothing(tmp_path: Path, base: str, aligned: str) -> None:
    """They are named for teams and mounts."""
    assert swap_warnings(files(tmp_path / base, {}), files(tmp_path / aligned, {})) == []


@pytest.mark.parametrize(
    "chat", [CHAT, {"chat_template.json": {}}, {**PLAIN, "chat_template.jinja": "x"}]
)
def test_a_chat_template_in_the_base_alone_is_said(tmp_path: Path, chat: dict[str, Any]) -> None:
    """Wherever it lies; the other way round, nothing."""
    first, second = files(tmp_path / "one", chat), files(tmp_path / "two", PLAIN)
    [warning] = swap_warnings(first, second)
    assert "only the base has a chat template" in warning.message
    assert swap_warnings(second, first) == []


@pytest.mark.parametrize(
    ("base", "aligned"),
    [
        (("Llama-2-7b-chat-harmful", CHAT), ("Llama-2-7b-chat-hf", CHAT)),
        (("it/chat/Llama-3-8B", PLAIN), ("it/chat/Llama-3-8B-new", PLAIN)),
        (("SmolLM2-135M", CHAT), ("SmolLM2-135M-Instruct", PLAIN)),
        (("Llama-2-7b-chat", PLAIN), ("Llama-2-7b", CHAT)),
        (("one", CHAT), ("two", {})),
        (("one", CHAT), ("two", {"tokenizer_config.json": "{"})),
        (("one", CHAT), ("two", {"tokenizer_config.json": []})),
        (("one", {}), ("two", {})),
    ],
)
def test_evidence_that_is_missing_or_mixed_is_no_warning(
    tmp_path: Path, base: tuple[str, dict[str, Any]], aligned: tuple[str, dict[str, Any]]
) -> None:
    """Words in both names, a name against a template, files that tell nothing."""
    first, second = (
        files(tmp_path / side / name, contents)
        for side, (name, contents) in (("x", base), ("y", aligned))
    )
    assert swap_warnings(first, second) == []


def test_warnings_are_those_of_the_pair_as_registered(tmp_path: Path) -> None:
    """The record of a swapped pair says so, and is ready all the same."""
    site = Site(tmp_path)
    base, aligned = site.pair()
    ready = register(
        site.record((aligned, base)), site.records, folder_at, site.cache, step=nothing
    )
    assert ready is not None
    assert (ready.state, [w.code for w in ready.warnings]) == ("ready", ["pair_swapped"])
    assert site.records.alignment("tiny") == ready
