"""Settings from the environment."""

import pytest
from pydantic import ValidationError

from core.settings import AlignmentSettings, Settings, SettingsInvalid, load_settings


def test_a_mistyped_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """SAFELORA_STROE__PATH leaves no default in force unnoticed; a caller's key is no setting."""
    monkeypatch.setenv("SAFELORA_KEY", "slg_x")
    monkeypatch.setenv("SAFELORA_URL", "http://127.0.0.1:8000")
    Settings()
    monkeypatch.setenv("SAFELORA_STROE__PATH", "elsewhere")
    with pytest.raises(ValidationError, match="SAFELORA_STROE__PATH"):
        Settings()


def test_a_wrong_setting_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says which field is wrong, and not what the fields beside it hold."""
    monkeypatch.setenv("SAFELORA_STORE__KIND", "s3")
    monkeypatch.setenv("SAFELORA_STORE__S3__BUCKET", "b")
    monkeypatch.setenv("SAFELORA_STORE__S3__ACCESS_KEY_ID", "id")
    monkeypatch.setenv("SAFELORA_STORE__S3__SECRET_ACCESS_KEY", "hush-hush")
    monkeypatch.setenv("SAFELORA_STORE__S3__CHECKSUM", "never")
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert "checksum" in str(caught.value)
    assert "hush-hush" not in str(caught.value)


def test_what_is_wrong_is_named_as_it_is_spelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has the variable's own name, for who has to mend it in a hurry."""
    monkeypatch.setenv("SAFELORA_LIMITS__UPLOAD", "plenty")
    with pytest.raises(SettingsInvalid, match=r"^SAFELORA_LIMITS__UPLOAD: .*integer"):
        load_settings()


@pytest.mark.parametrize("name", ["SAFELORA_REDIS__URL", "SAFELORA_ALIGNMENTS__REDIS_URL"])
@pytest.mark.parametrize("url", ["", "nonsense", "http://:hush@host", "redis://:hush@host:port"])
def test_a_redis_url_that_is_none_is_named_in_one_line(
    name: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the start, by the variable's own name, and without the password it may hold."""
    monkeypatch.setenv(name, url)
    with pytest.raises(SettingsInvalid, match=f"^{name}: no URL of a Redis[^\n]*$") as caught:
        load_settings()
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("token", ["hf_hush hush", "hf_hush\u00e9", "hf_hush\x7f", "hf_hush\nX: y"])
def test_a_token_that_is_none_is_named_and_not_shown(
    token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No header could hold it; what a file has around one is only space."""
    monkeypatch.setenv("SAFELORA_ALIGNMENTS__HUB_TOKEN", f" hf_token{chr(10)}")
    found = load_settings().alignments.hub_token
    assert found is not None
    assert found.get_secret_value() == "hf_token"
    monkeypatch.setenv("SAFELORA_ALIGNMENTS__HUB_TOKEN", token)
    with pytest.raises(SettingsInvalid, match=r"^SAFELORA_ALIGNMENTS__HUB_TOKEN: ") as caught:
        load_settings()
    assert "hush" not in str(caught.value)
    with pytest.raises(ValidationError) as wrong:
        AlignmentSettings.model_validate({"hub_token": token})
    assert "hush" not in str(wrong.value)
