"""A checkpoint of a model hub, through huggingface_hub."""

import logging
from collections.abc import Mapping
from functools import partial
from threading import Event
from typing import BinaryIO

from huggingface_hub import HfApi, ModelInfo, constants, hf_hub_url

from core.canonical import Json
from core.errors import AlignmentError
from core.hub_places import HubUri
from core.settings import AlignmentSettings
from worker.alignment.checkpoint_files.ahead import ReadAhead
from worker.alignment.checkpoint_files.base import OF_A_CHECKPOINT
from worker.alignment.checkpoint_files.hub_errors import no_model, no_sizes, said_of_model
from worker.alignment.checkpoint_files.hub_patience import patiently
from worker.alignment.checkpoint_files.hub_stream import HubFile, HubRange

_LIBRARY = "safelora-gate"  # what the hub is told that asks


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
        self._uri, self._found = _pinned(self._api, uri)
        self._ahead = ReadAhead()
        self._closed = Event()

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
        return self._ahead.open(partial(HubRange, self._api, file, self._closed), start, end)

    def check_unchanged(self) -> None:
        """A commit is named by what it holds: where the branch moved, it is still there."""

    def close(self) -> None:
        """huggingface_hub's connections stay open: one session is shared by all of a process."""
        self._closed.set()
        self._ahead.close()


def _pinned(api: HfApi, uri: HubUri) -> tuple[HubUri, dict[str, HubFile]]:
    """The commit, and its files by name."""
    info = _described(api, uri)
    if info.id.lower() != uri.repo.lower():  # the hub redirects from the old name of a model
        raise AlignmentError(
            f"{uri} has another name by now: look it up on the hub and register that",
            code="source_not_found",
        )
    if not info.sha:
        raise no_model(uri)
    commit = HubUri(uri.repo, info.sha)
    found = {}
    for sibling in sorted(info.siblings or [], key=lambda sibling: sibling.rfilename):
        name = sibling.rfilename
        if "/" not in name and name.endswith(OF_A_CHECKPOINT):
            if sibling.size is None:
                raise no_sizes(uri)
            url = hf_hub_url(uri.repo, name, revision=info.sha, endpoint=api.endpoint)
            found[name] = HubFile(commit, url, sibling.size)
    return commit, found


def _described(api: HfApi, uri: HubUri) -> ModelInfo:
    ask = partial(
        api.model_info,
        uri.repo,
        revision=uri.revision,
        files_metadata=True,
        timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT,
    )
    with said_of_model(uri):
        try:
            return patiently(ask)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, OSError):  # an answer that huggingface_hub understood
                raise
            raise no_model(uri) from None


def _keep_quiet() -> None:
    """Both hold for the process. Without the first, huggingface_hub asks its default endpoint which
    agents there are, whatever endpoint it is given; without the second, a log has several lines a
    range, with signed URLs in them."""
    constants.HF_HUB_DISABLE_TELEMETRY = True
    for name in ("httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.WARNING)
