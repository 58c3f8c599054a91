"""Stripped: what is written is what the honest adapter would have been written as, or nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import AdapterRejected
from core.findings import STRIPPABLE
from core.policy import Extras, Policy
from core.report import ModuleRow
from tests.hostile.attack import Attack
from tests.hostile.making import (
    CONFIG_FILE,
    MODEL,
    Folders,
    Upload,
    added,
    honest,
    only,
    sanitize_upload,
    split,
)
from tests.hostile.test_catalogue import CATALOGUE

ALL = Extras(default="strip")
STRIPPED = [attack for attack in CATALOGUE if not attack.left(STRIPPABLE) and not attack.no_pairs]
EMPTIED = [attack for attack in CATALOGUE if not attack.left(STRIPPABLE) and attack.no_pairs]
KEPT = [attack for attack in CATALOGUE if attack.left(STRIPPABLE)]

PARTS = {"model": honest().model, "config": honest().config, "others": honest().others}

Written = tuple[list[ModuleRow], bytes, dict[str, object], bytes]
HonestOutput = Callable[[Attack, Policy], Written]


def named(attack: Attack) -> str:
    return ascii(attack.name)[1:-1]


def with_extras(attack: Attack, extras: Extras) -> Policy:
    return (attack.policy or Policy()).model_copy(update={"extras": extras})


def written(upload: Upload, pair: Folders, folder: Path, policy: Policy) -> Written:
    """Rows, config, header and tensors' bytes; the header without the digest of the input."""
    report = sanitize_upload(upload, pair, folder, policy)
    output = folder / "output"
    assert sorted(p.name for p in output.iterdir()) == [CONFIG_FILE, MODEL]
    text, body = split((output / MODEL).read_bytes())
    header = json.loads(text)
    assert len(header["__metadata__"].pop("safelora_gate.input")) == 64
    return report.modules, (output / CONFIG_FILE).read_bytes(), header, body


@pytest.fixture(scope="module")
def honest_output(pair: Folders, tmp_path_factory: pytest.TempPathFactory) -> HonestOutput:
    """What the attack's honest upload is written as, made once for each policy."""
    made: dict[str, Written] = {}

    def output(attack: Attack, policy: Policy) -> Written:
        key = attack.honest.__name__ + policy.model_dump_json()
        if key not in made:
            made[key] = written(attack.honest(), pair, tmp_path_factory.mktemp("honest"), policy)
        return made[key]

    return output


def refused(attack: Attack, pair: Folders, folder: Path, policy: Policy) -> list[tuple[str, str]]:
    """What refuses it; nothing is written then, and all else of it is told as stripped."""
    with pytest.raises(AdapterRejected) as rejected:
        sanitize_upload(attack.upload, pair, folder, policy)
    assert list((folder / "output").iterdir()) == []
    found = [f for f in rejected.value.findings if f.severity == "refuse"]
    told = [(f.code, f.subject) for f in found if f.code != "no_lora_pairs"]
    assert attack.code == "no_lora_pairs" or sorted(told) == attack.expected
    assert {f.outcome for f in found} <= {"refused", "stripped"}
    return sorted((f.code, f.subject) for f in found if f.outcome == "refused")


@pytest.mark.parametrize("attack", STRIPPED, ids=named)
def test_stripped_attack_is_written_as_the_honest_adapter(
    attack: Attack, pair: Folders, tmp_path: Path, honest_output: HonestOutput
) -> None:
    """Of what was stripped nothing is left: the same config, tensors and rows, byte for byte."""
    policy = with_extras(attack, ALL)
    assert written(attack.upload, pair, tmp_path, policy) == honest_output(attack, policy)


def touching(part: str) -> list[Attack]:
    """The attacks on PEFT's honest upload that change this part of it."""
    return [a for a in STRIPPED if a.honest is honest and getattr(a.upload, part) != PARTS[part]]


@settings(max_examples=80, deadline=None)
@given(
    weights=st.sampled_from(touching("model")),
    fields=st.sampled_from(touching("config")),
    files=st.lists(st.sampled_from(touching("others")), max_size=3),
)
def test_attacks_at_once_are_stripped_at_once(
    weights: Attack, fields: Attack, files: list[Attack], pair: Folders, honest_output: HonestOutput
) -> None:
    """One in the tensors, one in the config, some beside them: of none is anything left."""
    others = {name: data for attack in files for name, data in attack.upload.others.items()}
    upload = Upload(weights.upload.model, fields.upload.config, others)
    policy = Policy(extras=ALL)
    with TemporaryDirectory() as folder:
        assert written(upload, pair, Path(folder), policy) == honest_output(weights, policy)


@pytest.mark.parametrize("attack", STRIPPED, ids=named)
def test_only_what_the_policy_names_is_stripped(
    attack: Attack, pair: Folders, tmp_path: Path, honest_output: HonestOutput
) -> None:
    """By its own code alone it is let in, and told of; with every code but its own it is not."""
    own = with_extras(attack, Extras(codes={attack.code: "strip"}))
    if attack.left({attack.code}):
        assert refused(attack, pair, tmp_path / "own", own) == attack.left({attack.code})
    else:
        output = written(attack.upload, pair, tmp_path / "own", own)
        assert output == honest_output(attack, own)
    others = with_extras(attack, Extras(default="strip", codes={attack.code: "refuse"}))
    expected = attack.left(STRIPPABLE - {attack.code})
    assert refused(attack, pair, tmp_path / "others", others) == expected


@pytest.mark.parametrize("attack", STRIPPED, ids=named)
def test_report_names_what_was_stripped(attack: Attack, pair: Folders, tmp_path: Path) -> None:
    """Each finding has the outcome `stripped`, and the summary counts them."""
    report = sanitize_upload(attack.upload, pair, tmp_path, with_extras(attack, ALL))
    told = [(f.code, f.subject) for f in report.findings if f.outcome == "stripped"]
    assert sorted(told) == attack.expected
    assert report.summary.stripped == len(attack.expected)
    assert [f for f in report.findings if f.outcome == "refused"] == []


@pytest.mark.parametrize("attack", KEPT, ids=named)
def test_what_cannot_be_stripped_is_refused_whatever_the_policy_strips(
    attack: Attack, pair: Folders, tmp_path: Path
) -> None:
    """A pickle in the adapter's place, damage, lies about sizes, numbers that are none."""
    policy = with_extras(attack, ALL)
    assert refused(attack, pair, tmp_path, policy) == attack.left(STRIPPABLE)


@pytest.mark.parametrize("attack", EMPTIED, ids=named)
def test_adapter_of_which_nothing_is_left_is_refused(
    attack: Attack, pair: Folders, tmp_path: Path
) -> None:
    """All of it was stripped, and an empty adapter is none: `no_lora_pairs`."""
    policy = with_extras(attack, ALL)
    model = next(p for p in attack.upload.files() if p.endswith(".safetensors"))
    assert refused(attack, pair, tmp_path, policy) == [("no_lora_pairs", model)]


@pytest.mark.parametrize(
    "name", ["lm_head.weight", "x.lora_A.default.weight", "x.bias"], ids=lambda name: name
)
def test_extra_alone_is_no_adapter(name: str, pair: Folders, tmp_path: Path) -> None:
    """A file of nothing but what is stripped: `no_lora_pairs`, or a half of a pair."""
    with pytest.raises(AdapterRejected) as rejected:
        upload = only({f"base_model.model.{name}": torch.ones(2, 6)})(honest())
        sanitize_upload(upload, pair, tmp_path, Policy(extras=ALL))
    refusing = {f.code for f in rejected.value.findings if f.outcome == "refused"}
    assert refusing == {"unpaired_tensor" if "lora_" in name else "no_lora_pairs"}


def test_strip_is_never_the_default(pair: Folders, tmp_path: Path) -> None:
    """A policy that says nothing of extras refuses what could be stripped."""
    upload = added("base_model.model.lm_head.weight", 8, 6)(honest())
    with pytest.raises(AdapterRejected):
        sanitize_upload(upload, pair, tmp_path, Policy.model_validate({"selection": {}}))
