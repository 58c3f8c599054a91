"""A model hub on this machine: what huggingface_hub asks one, answered as the real one does."""

import contextlib
import hashlib
import json
import re
import threading
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from tests.core.store.faults import drip, running

TOKEN = "hf_the-token-of-the-test"
SIGNATURE = "Signature=of-a-short-lived-url"

_INFO = re.compile(r"/api/models/([^/]+/[^/]+)/revision/([^/]+)")
_RESOLVE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
_RANGE = re.compile(r"bytes=(\d+)-(\d+)")

Files = dict[str, bytes]


@dataclass(frozen=True)
class Asked:
    """One request. `host` tells the hub from its CDN."""

    host: str
    path: str
    authorization: str | None
    agent: str
    range: str | None


@dataclass
class Model:
    """Its files by commit, and its branches."""

    commits: dict[str, Files] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)

    def commit(self, files: Files, branch: str = "main") -> str:
        seed = f"{len(self.commits)}{sorted(files)}".encode()
        sha = hashlib.sha1(seed, usedforsecurity=False).hexdigest()
        self.commits[sha] = files
        self.branches[branch] = sha
        return sha


class Hub:
    """The hub and its CDN, each on a port of its own. Fields say how they misbehave.

    `cuts`: so many answers of the CDN break off after `keep` bytes; `refusals`: so many are a
    `refusal`, which asks for a `pause` of seconds; `drips`: so many come a byte at a time; none
    comes where it is `silent`. `endless`: the answers (`description`, `redirect`, `refusal`) whose
    bodies never end.
    """

    def __init__(self) -> None:
        self.models: dict[str, Model] = {}
        self.asked: list[Asked] = []
        self.private = False
        self.gated = False
        self.known_token = TOKEN
        self.ignores_range = False
        self.shifts_range = False
        self.renamed: str | None = None
        self.without_sizes = False
        self.cuts = 0
        self.keep = 0
        self.refusals = 0
        self.refusal = 503
        self.pause = 0
        self.drips = 0
        self.silent = False
        self.endless = ""
        self.told: dict[str, object] = {}
        self.over = threading.Event()
        self.lock = threading.Lock()
        self.hub = _Server(self, _HubAnswer)
        self.cdn = _Server(self, _CdnAnswer)

    @property
    def url(self) -> str:
        return self.hub.url

    def of_cdn(self) -> list[Asked]:
        return [asked for asked in self.asked if asked.host == self.cdn.host]

    def takes(self, counter: str) -> bool:
        """Whether one is left of `cuts` or `refusals`, which is used up."""
        with self.lock:
            left: int = getattr(self, counter)
            setattr(self, counter, max(0, left - 1))
            return left > 0


@contextmanager
def running_hub() -> Iterator[Hub]:
    hub = Hub()
    with running(hub.hub), running(hub.cdn):
        try:
            yield hub
        finally:
            hub.over.set()


class _Server(ThreadingHTTPServer):
    def __init__(self, hub: Hub, handler: type["_Answer"]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.of = hub
        self.host = f"127.0.0.1:{self.server_port}"
        self.url = f"http://{self.host}"


class _Answer(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = 2.0  # of an idle connection: the server waits for its threads when it stops

    @property
    def hub(self) -> Hub:
        return self.server.of

    def do_GET(self) -> None:
        asked = Asked(
            self.headers["Host"],
            self.path,
            self.headers["Authorization"],
            self.headers["User-Agent"],
            self.headers["Range"],
        )
        self.hub.asked.append(asked)
        self.answer(urlsplit(self.path).path)

    def handle(self) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # who asked has gone
            super().handle()

    @abstractmethod
    def answer(self, path: str) -> None:
        """Send what lies at the path."""

    def flood(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.close_connection = True
        while not self.hub.over.is_set():
            self.wfile.write(bytes(1 << 20))

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, status: int, code: str, message: str) -> None:
        body = json.dumps({"error": message}).encode()
        self.reply(status, body, X_Error_Code=code, X_Error_Message=message)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Tests say what they have to say themselves."""


class _HubAnswer(_Answer):
    def answer(self, path: str) -> None:
        info, resolve = _INFO.fullmatch(path), _RESOLVE.fullmatch(path)
        token = self.headers["Authorization"]
        if token not in (None, f"Bearer {self.hub.known_token}"):
            self.refuse(401, "", "Invalid credentials in Authorization header")
        elif self.hub.private and token is None:
            self.refuse(401, "RepoNotFound", "Invalid username or password.")
        elif info:
            self._describe(unquote(info[1]), unquote(info[2]))
        elif resolve and self.hub.gated and token is None:
            self.refuse(401, "GatedRepo", "Access to this model is restricted.")
        elif resolve:
            self._send_on(resolve[1], resolve[2], unquote(resolve[3]))
        else:
            self.refuse(404, "", "Not found")

    def _describe(self, repo: str, revision: str) -> None:
        model = self.hub.models.get(repo)
        if model is None:
            self.refuse(404, "RepoNotFound", "Repository not found")
            return
        sha = model.branches.get(revision, revision)
        if sha not in model.commits:
            self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return
        if self.hub.endless == "description":
            self.flood(200, Content_Type="application/json")
            return
        siblings = [self._sibling(name, data) for name, data in model.commits[sha].items()]
        told = {"id": self.hub.renamed or repo, "sha": sha, "siblings": siblings, **self.hub.told}
        self.reply(200, json.dumps(told).encode(), Content_Type="application/json")

    def _sibling(self, name: str, data: bytes) -> dict[str, object]:
        size = {} if self.hub.without_sizes else {"size": len(data)}
        return {"rfilename": name, "blobId": hashlib.sha256(data).hexdigest()[:40], **size}

    def _send_on(self, repo: str, sha: str, name: str) -> None:
        files = self.hub.models[repo].commits.get(sha, {})
        if name not in files:
            self.refuse(404, "EntryNotFound", "Entry not found")
            return
        send = self.flood if self.hub.endless == "redirect" else self.reply
        send(
            302,
            Location=f"{self.hub.cdn.url}/{repo}/{sha}/{name}?{SIGNATURE}",
            X_Repo_Commit=sha,
            X_Linked_Size=str(len(files[name])),
            X_Linked_ETag=f'"{hashlib.sha256(f"{sha}{name}".encode()).hexdigest()}"',
        )


class _CdnAnswer(_Answer):
    def answer(self, path: str) -> None:
        organisation, name, sha, file = path.removeprefix("/").split("/", 3)
        data = self.hub.models[f"{organisation}/{name}"].commits[sha][file]
        found = _RANGE.fullmatch(self.headers["Range"] or "")
        if self.hub.silent:
            self.hub.over.wait()
        if self.hub.endless == "refusal":
            self.flood(403)
        elif self.hub.takes("refusals"):
            self.reply(self.hub.refusal, RateLimit=f'"resolvers";r=0;t={self.hub.pause}')
        elif found is None or self.hub.ignores_range:
            self._send(200, data)
        else:
            start, end = int(found[1]), int(found[2]) + 1
            start -= self.hub.shifts_range
            shown = f"bytes {start}-{min(end, len(data)) - 1}/{len(data)}"
            self._send(206, data[start:end], Content_Range=shown)

    def _send(self, status: int, data: bytes, **headers: str) -> None:
        drips = self.hub.takes("drips")
        if not drips and not self.hub.takes("cuts"):
            self.reply(status, data, ETag='"x"', **headers)
            return
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if drips:
            drip(self, data, self.hub.over)
        else:
            self.wfile.write(data[: self.hub.keep])
        self.close_connection = True
