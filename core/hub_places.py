"""Models on a hub: how one is named, and which may be read."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_NAME = r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?"
_URI = re.compile(rf"hf://({_NAME}/{_NAME})(?:@(.*))?")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+/-]{0,199}")
_NO_REVISION = re.compile(r"\.\.|//|/\.|[./]$|\.lock(/|$)")  # as git forbids them
_REFS = "refs/"  # where what anyone proposes lies, too (refs/pr/1)
_NO_REPO = re.compile(r"--|\.\.|\.git$|\.ipynb$")  # as the hub forbids them
_MAX_REPO = 96

DEFAULT_REVISION = "main"
ALLOWED = rf"^{_NAME}/({_NAME})?$"
"""The pattern of an entry of an allow-list: `org/name`, or `org/` for all of an organisation."""


@dataclass(frozen=True)
class HubUri:
    """`repo` is `org/name`; `revision` a branch, a tag or a commit."""

    repo: str
    revision: str

    def __str__(self) -> str:
        return f"hf://{self.repo}@{self.revision}"


def parse_hub(text: str) -> HubUri | None:
    """`hf://org/name@revision`, or without revision for `main`; None for anything else.

    A revision is a branch, a tag or a commit: none begins with `refs/`.
    """
    match = _URI.fullmatch(text)
    if match is None:
        return None
    repo, revision = match[1], DEFAULT_REVISION if match[2] is None else match[2]
    if len(repo) > _MAX_REPO or _NO_REPO.search(repo):
        return None
    if not _REVISION.fullmatch(revision) or _NO_REVISION.search(revision):
        return None
    if revision.startswith(_REFS):
        return None
    return HubUri(repo, revision)


def hub_allows(allow: Iterable[str], uri: HubUri) -> bool:
    organisation = f"{uri.repo.partition('/')[0]}/"
    return any(entry in (uri.repo, organisation) for entry in allow)
