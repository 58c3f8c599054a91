"""Settings that are files, as containers are given passwords."""

from pathlib import Path

import pytest

from core.settings import SettingsInvalid, load_settings


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAFELORA_SECRETS_DIR", str(tmp_path))
    return tmp_path


def test_a_file_is_the_variable_of_its_name(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its section, with or without a line's end; JSON where the variable takes it."""
    files = {
        "SAFELORA_REDIS__URL": "redis://:hush@queue:6379/0\n",
        "SAFELORA_STORE__KIND": "s3",
        "SAFELORA_STORE__S3__BUCKET": "gate\r\n",
        "SAFELORA_STORE__S3__ACCESS_KEY_ID": "id",
        "SAFELORA_STORE__S3__SECRET_ACCESS_KEY": " hush hush \n",
        "SAFELORA_ALIGNMENTS__ROOTS": '["/a", "/b"]',
    }
    for name, text in files.items():
        (folder / name).write_bytes(text.encode())
    (folder / "..data").symlink_to(tmp_path_factory.mktemp("kubernetes"))
    (folder / "signing-key.pem").write_bytes(b"\xff")
    from_files = load_settings()
    monkeypatch.delenv("SAFELORA_SECRETS_DIR")
    for name, text in files.items():
        monkeypatch.setenv(name, text.rstrip("\r\n"))
    assert from_files == load_settings()


def test_the_environment_goes_before_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Field by field: what it does not say of a section is the file's."""
    (folder / "SAFELORA_QUEUE__NAME").write_text("file")
    (folder / "SAFELORA_QUEUE__LEASE").write_text("7")
    monkeypatch.setenv("SAFELORA_QUEUE__NAME", "environment")
    queue = load_settings().queue
    assert (queue.name, queue.lease) == ("environment", 7)


def test_a_mistyped_file_is_refused(folder: Path) -> None:
    """As a mistyped variable is."""
    (folder / "SAFELORA_REDSI__URL").write_text("redis://queue")
    with pytest.raises(SettingsInvalid, match="SAFELORA_REDSI__URL: there is no such setting"):
        load_settings()


def test_a_wrong_file_is_named_and_not_shown(folder: Path) -> None:
    """By the name that it has in common with the variable."""
    (folder / "SAFELORA_REDIS__URL").write_text("http://:hush@host")
    with pytest.raises(SettingsInvalid, match=r"^SAFELORA_REDIS__URL: no URL of a Redis") as caught:
        load_settings()
    assert "hush" not in str(caught.value)


def test_a_folder_that_cannot_be_read_stops_the_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a gate whose secrets are not mounted would start with the defaults."""
    (folder / "SAFELORA_REDIS__URL").mkdir()
    with pytest.raises(
        SettingsInvalid, match=r"^SAFELORA_SECRETS_DIR: .*REDIS__URL cannot be read"
    ):
        load_settings()
    monkeypatch.setenv("SAFELORA_SECRETS_DIR", str(folder / "missing"))
    with pytest.raises(SettingsInvalid, match=r"^SAFELORA_SECRETS_DIR: .*missing cannot be read"):
        load_settings()
    (folder / "SAFELORA_REDIS__URL").rmdir()
    (folder / "SAFELORA_REDIS__URL").write_bytes(b"hush\xff")
    monkeypatch.setenv("SAFELORA_SECRETS_DIR", str(folder))
    with pytest.raises(SettingsInvalid, match="is no text") as caught:
        load_settings()
    assert "hush" not in str(caught.value)
