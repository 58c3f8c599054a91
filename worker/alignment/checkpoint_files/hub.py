"""A checkpoint of a model hub, as huggingface_hub asks one."""

import json
import logging
import re
from collections.abc import Mapping
from functools import partial
from typing import Any, BinaryIO
from urllib.parse import quote

from huggingface_hub import HfApi, constants, hf_hub_url

from core.canonical import Json
from core.errors import AlignmentError
from core.hub_places import HubUri
from core.settings import AlignmentSettings
from worker.alignment.checkpoint_files.ahead import ReadAhead
from worker.alignment.checkpoint_files.base import OF_A_CHECKPOINT
from worker.alignment.checkpoint_files.hub_client import HubClient
from worker.alignment.checkpoint_files.hub_errors import no_model, no_sizes, said_of_model
from worker.alignment.checkpoint_files.hub_patience import patiently
from worker.alignment.checkpoint_files.hub_stream import HubFile, HubRange

_LIBRARY = "safelora-gate"  # what the hub is told that asks
_MAX_INFO = 64 << 20  # bytes of a model's description
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class HubFiles:
    """The files at the root of the commit that the revision meant when this was made."""

    def __init__(self, uri: HubUri, settings: AlignmentSettings) -> None:
        _keep_quiet()
        token = settings.hub_token
        self._api = HfApi(
            endpoint=settings.hub_endpoint,
            token=token.get_secret_value() if token else None,
            library_name=_LIBRARY,
        )
        self._client = HubClient(self._api)
        try:
            self._uri, self._found = self._pinned(uri)
        except BaseException:
            self._client.close()
            raise
        self._ahead = ReadAhead()

    @property
    def place(self) -> str:
        return str(self._uri)

    @property
    def sizes(self) -> Mapping[str, int]:
        return {name: file.size for name, file in self._found.items()}

    @property
    def version(self) -> Json:
        return [self._api.endpoint, self.place]

    def open(self, name: str, start: int = 0, end: int | None = None) -> BinaryIO:
        file = self._found[name]
        end = file.size if end is None else min(end, file.size)
        return self._ahead.open(partial(HubRange, self._client, file), start, end)

    def check_unchanged(self) -> None:
        """A commit is named by what it holds: where the branch moved, it is still there."""

    def close(self) -> None:
        """From any thread: what still reads ends with an error, and is not waited for long."""
        self._client.cut()
        self._ahead.close()
        self._client.close()

    def _pinned(self, uri: HubUri) -> tuple[HubUri, dict[str, HubFile]]:
        """The commit, and its files by name."""
        try:
            name, sha, sizes = _parsed(self._described(uri))
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
            raise no_model(uri) from None
        if name.lower() != uri.repo.lower():  # the hub redirects from the old name of a model
            raise AlignmentError(
                f"{uri} has another name by now: look it up on the hub and register that",
                code="source_not_found",
            )
        commit = HubUri(uri.repo, sha)
        found = {}
        for name, size in sorted(sizes.items()):
            if size is None:
                raise no_sizes(uri)
            url = hf_hub_url(uri.repo, name, revision=sha, endpoint=self._api.endpoint)
            found[name] = HubFile(commit, url, size)
        return commit, found

    def _described(self, uri: HubUri) -> Any:
        """Raises `ValueError` where the answer is no JSON, or too long."""
        revision = quote(uri.revision, safe="")
        url = f"{self._api.endpoint}/api/models/{uri.repo}/revision/{revision}?blobs=true"
        with said_of_model(uri):
            return json.loads(patiently(partial(self._client.read, url, _MAX_INFO)))


def _parsed(info: Any) -> tuple[str, str, dict[str, int | None]]:
    """Name, commit, and the sizes of the root's files, None where the hub tells none.

    Raises `AttributeError`, `KeyError`, `TypeError` or `ValueError` for what describes no model.
    """
    sha, sizes = info["sha"], {}
    if not _COMMIT.fullmatch(sha):
        raise ValueError("no commit")
    for sibling in info.get("siblings") or []:
        name, size = sibling["rfilename"], sibling.get("size")
        if "/" not in name and name.endswith(OF_A_CHECKPOINT):
            if size is not None and (type(size) is not int or size < 0):
                raise ValueError("no size")
            sizes[name] = size
    return str(info["id"]), sha, sizes


def _keep_quiet() -> None:
    """Both hold for the process. Without the first, huggingface_hub asks its default endpoint which
    agents there are, whatever endpoint it is given; without the second, a log has several lines a
    range, with signed URLs in them."""
    constants.HF_HUB_DISABLE_TELEMETRY = True
    for name in ("httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.WARNING)
