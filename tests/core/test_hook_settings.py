"""SAFELORA_HOOKS: what is wrong with a rule is said at the start, by the field's name."""

import json
from pathlib import Path
from typing import Any

import pytest

from core.settings import SettingsInvalid, load_settings

SECRET = "hush-hush-hush-hush"
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
GOOD = {"kind": "mlflow", "secret": SECRET, "adapter": "s3://ft-outputs/{data.run_id}/"}
BUCKET = {"kind": "s3", "secret": SECRET, "prefix": "s3://uploads/in"}


def load(monkeypatch: pytest.MonkeyPatch, rules: Any) -> Any:
    monkeypatch.setenv("SAFELORA_HOOKS", json.dumps(rules))
    return load_settings().hooks


def test_rules_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one JSON, or field by field."""
    hooks = load(monkeypatch, {"a": {**GOOD, "policy": {"selection": {"threshold": 0.5}}}})
    assert hooks["a"].policy.selection.threshold == 0.5
    assert load(monkeypatch, {"b": BUCKET})["b"].prefix == "s3://uploads/in/"
    monkeypatch.setenv("SAFELORA_HOOKS", "{}")
    monkeypatch.setenv("SAFELORA_HOOKS__OPENAI__KIND", "standard")
    monkeypatch.setenv("SAFELORA_HOOKS__OPENAI__SECRET", WHSEC)
    monkeypatch.setenv("SAFELORA_HOOKS__OPENAI__ADAPTER", "{data.adapter_uri}")
    monkeypatch.setenv("SAFELORA_HOOKS__OPENAI__WHEN", '{"type": "x", "n": 1, "b": true}')
    assert load_settings().hooks["openai"].when == {"type": "x", "n": 1, "b": True}


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({**GOOD, "kind": "github"}, "KIND"),
        ({**GOOD, "secret": "hush"}, "secret"),
        ({**GOOD, "secret": "hush hush hush hush"}, "secret"),
        ({**GOOD, "secret": "hush\u00e9hush-hush-hush"}, "secret"),
        ({**GOOD, "secret": None}, "secret"),
        ({**GOOD, "kind": "standard"}, "secret"),
        ({**GOOD, "kind": "standard", "secret": "whsec_hush-hush-hush-hush"}, "secret"),
        ({**GOOD, "kind": "standard", "secret": "whsec_aHVzaC1odXNo"}, "secret"),
        ({**GOOD, "secrets": ["hush"]}, "secret"),
        ({**GOOD, "token": SECRET}, "token"),
        ({**GOOD, "kind": "wandb", "token": "hush"}, "token"),
        ({**GOOD, "header": "X-Y"}, "header"),
        ({**BUCKET, "header": "X Y"}, "HEADER"),
        ({**GOOD, "tenant": "../x"}, "TENANT"),
        ({**GOOD, "scopes": ["alignments"]}, "SCOPES"),
        ({**GOOD, "policy": {"selection": {"threshold": 2}}}, "POLICY"),
        ({**GOOD, "adapter": None}, "adapter"),
        ({**GOOD, "adapter": "s3://{data.bucket}/x/"}, "ADAPTER"),
        ({**GOOD, "adapter": "s3://ft-{data.bucket}/x/"}, "ADAPTER"),
        ({**GOOD, "adapter": "s3://ft-outputs/../{data.id}/"}, "ADAPTER"),
        ({**GOOD, "adapter": "{data.bucket}{data.key}"}, "ADAPTER"),
        ({**GOOD, "adapter": "https://x/{data.id}"}, "ADAPTER"),
        ({**GOOD, "adapter": "s3://ft-outputs/{data.id"}, "ADAPTER"),
        ({**GOOD, "adapter": ""}, "ADAPTER"),
        ({**GOOD, "prefix": "s3://uploads/in/"}, "prefix"),
        ({**GOOD, "destination": "file:///etc/"}, "DESTINATION"),
        ({**GOOD, "callback_url": "told.example/x"}, "CALLBACK_URL"),
        ({**GOOD, "when": {"a b": 1}}, "WHEN"),
        ({**GOOD, "metadata": {"run": "{"}}, "METADATA"),
        ({**GOOD, "polcy": {}}, "POLCY"),
        ({**BUCKET, "prefix": None}, "prefix"),
        ({**BUCKET, "prefix": "s3://uploads/../in/"}, "PREFIX"),
        ({**BUCKET, "adapter": "s3://uploads/{x}/"}, "adapter"),
        ({**BUCKET, "destination": "s3://clean/{data.id}/"}, "destination"),
        ({**BUCKET, "metadata": {"run": "{data.id}"}}, "metadata"),
    ],
)
def test_what_is_wrong_is_named_and_no_secret_shown(
    monkeypatch: pytest.MonkeyPatch, rule: dict[str, Any], field: str
) -> None:
    """In one line, with the source's name and the field's."""
    with pytest.raises(SettingsInvalid, match=rf"^SAFELORA_HOOKS__A[^\n]*{field}[^\n]*$") as caught:
        load(monkeypatch, {"a": rule})
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "A b", "a/b", "..", "x" * 64])
def test_sources_have_plain_names(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """They are part of an address."""
    with pytest.raises(SettingsInvalid, match="SAFELORA_HOOKS"):
        load(monkeypatch, {name: GOOD})


@pytest.mark.parametrize(
    "destination",
    [
        "s3://uploads/in/clean/{+folder}/",
        "s3://uploads/{+folder}/",
        "s3://uploads/{folder}-clean/",
        "s3://uploads/in/",
    ],
)
def test_no_result_may_become_a_job_again(
    monkeypatch: pytest.MonkeyPatch, destination: str
) -> None:
    """Neither of its own rule nor of another: that would never end."""
    for rules in (
        {"a": {**BUCKET, "destination": destination}},
        {"a": {**BUCKET, "prefix": "s3://others/in/", "destination": destination}, "b": BUCKET},
    ):
        with pytest.raises(SettingsInvalid, match=r"a: destination: .*again"):
            load(monkeypatch, rules)
    beside = {"a": {**BUCKET, "destination": "s3://uploads/clean/{+folder}/"}}
    assert load(monkeypatch, beside)["a"].destination


def test_secrets_lie_in_a_file_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One a line, read by the API alone: others that have the same settings need no such file."""
    file = tmp_path / "secrets"
    rule = {**GOOD, "secret": None, "secret_file": str(file)}
    hook = load(monkeypatch, {"a": rule})["a"]
    with pytest.raises(ValueError, match=r"secret_file: .* cannot be read"):
        hook.read_secrets()
    for text in ("", "hush\n"):
        file.write_text(text)
        with pytest.raises(ValueError, match=r"^secret: ") as caught:
            hook.read_secrets()
        assert "hush" not in str(caught.value)
    file.write_text(f"{SECRET}\n{SECRET}2\n")
    assert hook.read_secrets() == [SECRET, f"{SECRET}2"]
