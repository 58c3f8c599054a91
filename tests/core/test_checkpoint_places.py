"""Checkpoints are read only from places of a plain form that the operator allows."""

import json
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from core.checkpoint_places import allowed_place
from core.errors import Forbidden, RequestError, Unprocessable
from core.settings import AlignmentSettings, load_settings
from core.store.settings import S3Settings, StoreSettings

_BITS = ["abz/a", "a/b", "a", "b", "/", "..", ".", "%2e", "%2f", "@", "main", ":", "\\", "?", "é"]
LOCAL = StoreSettings()
SETTINGS = AlignmentSettings(
    roots=[Path("/models")],
    s3_allow=["s3://models/team", "s3://gate/"],
    hub_allow=["acme/", "other/base"],
)
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def code_of(text: str, settings: AlignmentSettings = SETTINGS, store: StoreSettings = LOCAL) -> str:
    with pytest.raises(RequestError) as caught:
        allowed_place(text, "base", settings, store)
    assert isinstance(caught.value, Forbidden | Unprocessable)
    assert caught.value.details == {"field": "base"}
    return caught.value.code


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("/models/a/../b", "/models/b"),
        ("s3://models/team/base", "s3://models/team/base/"),
        ("s3://models/team/base/", "s3://models/team/base/"),
        ("s3://models/team", "s3://models/team/"),
        ("s3://models/team/50%/ü", "s3://models/team/50%/ü/"),
        ("hf://acme/base", "hf://acme/base@main"),
        ("hf://acme/base@main", "hf://acme/base@main"),
        ("hf://acme/Base-1.5_b@v1.0", "hf://acme/Base-1.5_b@v1.0"),
        (f"hf://other/base@{COMMIT}", f"hf://other/base@{COMMIT}"),
    ],
)
def test_place_has_one_spelling(text: str, place: str) -> None:
    """However it was given, which is given again unchanged."""
    assert str(allowed_place(text, "base", SETTINGS, LOCAL)) == place
    assert str(allowed_place(place, "base", SETTINGS, LOCAL)) == place


@pytest.mark.parametrize(
    "text",
    [
        "/etc/passwd",
        "/models/../etc",
        "models/a",
        "",
        "\0",
        "/models/\0",
        "s3://models/a/",
        "s3://models/teammate/",
        "s3://models2/team/",
        "hf://acme2/base",
        "hf://acm/base",
        "hf://other/base2",
        "hf://other/bas",
        "hf://ACME/base",
    ],
)
def test_what_is_beside_an_entry_is_not_allowed(text: str) -> None:
    """Roots and prefixes end at a slash, organisations and names match whole."""
    assert code_of(text) == "source_not_allowed"


@pytest.mark.parametrize(
    "text",
    [
        "http://models/team/a/",
        "https://acme/base",
        "file:///models/a",
        "S3://models/team/a/",
        "HF://acme/base",
        "hf:acme/base",
        "s3:/models/team/a/",
        "s3:models",
        "s3://models",
        "s3://models/",
        "s3://user:secret@models/team/a/",
        "s3://models:443/team/a/",
        "s3://models/team/../other/",
        "s3://models/team/..",
        "s3://models/team/./a/",
        "s3://models/team/%2e%2e/other/",
        "s3://models/team/%2E./other/",
        "s3://models/team/a%2f..%2fb/",
        "s3://models/team/%00/",
        "s3://models/team//a/",
        "s3://models/team/a//",
        "s3://models/team\\..\\a/",
        "s3://models/team/a\n/",
        "s3://models/team/\ud800/",
        "s3://mödels/team/",
        "s3://models\u2215team/a/",
        "hf://acme",
        "hf://acme/",
        "hf:///base",
        "hf://base@main",
        "hf://acme/base/",
        "hf://acme/base/model.safetensors",
        "hf://datasets/acme/base",
        "hf://user:secret@acme/base",
        "hf://acme@main/base",
        "hf://acme/../other/base",
        "hf://../base",
        "hf://acme/..",
        "hf://acme/a..b",
        "hf://acme/a--b",
        "hf://acme/-a",
        "hf://acme/base.git",
        "hf://acme/b%2e%2e",
        "hf://acme/base?x=1",
        "hf://acme/base#x",
        "hf://acme/bаse",
        "hf://acme/base\n",
        "hf://acme/" + "a" * 92,
        "hf://acme/base@",
        "hf://acme/base@..",
        "hf://acme/base@a/../b",
        "hf://acme/base@a..b",
        "hf://acme/base@/main",
        "hf://acme/base@main/",
        "hf://acme/base@a//b",
        "hf://acme/base@a/.b",
        "hf://acme/base@a.lock",
        "hf://acme/base@%2e%2e",
        "hf://acme/base@mаin",
        "hf://acme/base@main@other",
        "hf://acme/base@main\n",
        "hf://acme/base@-x",
        "hf://acme/base@refs/pr/1",
        "hf://acme/base@refs/heads/main",
        "hf://acme/base@" + "a" * 201,
    ],
)
def test_odd_uris_are_refused(text: str) -> None:
    """What some server could read in another way than the allow-list does is never sent to one."""
    assert code_of(text) == "source_invalid"


@given(st.lists(st.sampled_from(_BITS), max_size=9).map("".join), st.sampled_from(["s3", "hf"]))
def test_no_text_leads_out_of_what_is_allowed(text: str, scheme: str) -> None:
    """Whatever follows the scheme, what is taken lies under an entry and has no dots to climb."""
    settings = AlignmentSettings(s3_allow=["s3://abz/a"], hub_allow=["a/b"])
    try:
        place = str(allowed_place(f"{scheme}://{text}", "base", settings, LOCAL))
    except RequestError:
        return
    assert place.startswith(("s3://abz/a/", "hf://a/b@"))
    assert ".." not in unquote(place).split("/")


def test_own_bucket_is_always_refused() -> None:
    """Even where the operator allows it: other tenants' results lie there."""
    own = StoreSettings(kind="s3", s3=S3Settings(bucket="gate"))
    assert code_of("s3://gate/a/", store=own) == "source_not_allowed"


@pytest.mark.parametrize("text", ["/models/a", "s3://models/team/a/", "hf://acme/base"])
def test_nothing_is_allowed_until_it_is(text: str) -> None:
    """Empty lists mean off."""
    assert code_of(text, AlignmentSettings()) == "source_not_allowed"


@pytest.mark.parametrize("entry", ["acme", "/", "acme/base@main", "hf://acme/", "*", ""])
def test_mistyped_entry_is_no_entry(entry: str) -> None:
    """It would allow nothing, and nobody would notice."""
    with pytest.raises(ValidationError):
        AlignmentSettings(hub_allow=[entry])


def test_places_are_set_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists as JSON; the token is in no `repr`, and no credentials are taken in an endpoint."""
    prefix = "SAFELORA_ALIGNMENTS__"
    monkeypatch.setenv(f"{prefix}S3_ALLOW", json.dumps(["s3://models/team/"]))
    monkeypatch.setenv(f"{prefix}S3__ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv(f"{prefix}HUB_ALLOW", json.dumps(["acme/"]))
    monkeypatch.setenv(f"{prefix}HUB_TOKEN", "hf_secret")
    monkeypatch.setenv(f"{prefix}HUB_ENDPOINT", "https://hub.example/")
    settings = load_settings().alignments
    assert settings.s3 is not None
    assert settings.s3.endpoint_url == "http://127.0.0.1:1"
    assert settings.hub_endpoint == "https://hub.example"
    assert settings.hub_token is not None
    assert "hf_secret" not in repr(settings)
    with pytest.raises(ValidationError):
        AlignmentSettings(hub_endpoint="https://user:secret@hub.example")
