"""Settings out of files, for what should stand in no environment: passwords and keys."""

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic_settings import EnvSettingsSource
from pydantic_settings.sources.utils import parse_env_vars

SECRETS_DIR = "SAFELORA_SECRETS_DIR"
_LARGEST = 2**20


class SecretFileUnusable(ValueError):
    """The folder or a file in it cannot be read. Its words show nothing of what it holds."""


def secret_files(prefix: str) -> dict[str, str]:
    """What the files of the folder that SAFELORA_SECRETS_DIR names hold, by their names.

    Those that begin with `prefix` alone; of what follows the text, line ends are left out. Raises
    `SecretFileUnusable`.
    """
    folder = os.environ.get(SECRETS_DIR)
    if not folder:
        return {}
    try:
        paths = sorted(path for path in Path(folder).iterdir() if path.name.startswith(prefix))
        return {path.name: _text(path) for path in paths}
    except OSError as error:
        place = error.filename or folder
        raise SecretFileUnusable(
            f"{SECRETS_DIR}: {place} cannot be read: {error.strerror}"
        ) from error


class SecretFiles(EnvSettingsSource):
    """Each file is a variable of its name; one of the environment itself goes before it."""

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return parse_env_vars(secret_files(self.env_prefix), self.case_sensitive)


def _text(path: Path) -> str:
    with path.open("rb") as file:
        held = file.read(_LARGEST)
    try:
        return held.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise SecretFileUnusable(f"{SECRETS_DIR}: {path} is no text") from None
