"""Requests as the gate takes them, and answers as it gives them; no I/O of its own."""

import json
import random
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

import httpx2
from pydantic import BaseModel, ValidationError

from safelora.address import Address
from safelora.errors import GateError, GateFailed, NoGate, RequestRefused, Unavailable
from safelora.multipart import Multipart
from safelora.patience import TRANSIENT, Patience, retry_after
from safelora.steps import Close, Flow, Pause, next_chunk, opened, sent

Model = TypeVar("Model", bound=BaseModel)
USER_AGENT: Final = "safelora-python"
_CONNECT_SECONDS: Final = 10.0
_LARGEST_PROBLEM: Final = 2**20


@dataclass(frozen=True)
class Call:
    """One request. `again`: it may be sent again if its answer is lost. `quiet`: seconds in which
    no byte may come, beyond the usual."""

    method: str
    path: tuple[str, ...]
    again: bool = True
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    body: Multipart | None = None
    quiet: float = 0.0


@dataclass(frozen=True)
class Terms:
    """What all requests of a client have in common. `timeout`: seconds without a byte."""

    address: Address
    patience: Patience
    timeout: float
    clock: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random

    def request(self, call: Call) -> httpx2.Request:
        """The request to the gate itself: no other ever carries the key."""
        url = httpx2.URL(self.address.place(*call.path), params=call.params or None)
        headers = {**self.address.authorization, **call.headers}
        if call.body is not None:
            headers |= call.body.headers
            return self._request(call.method, url, headers, call.quiet, stream=call.body)
        return self._request(call.method, url, headers, call.quiet, json=call.json)

    def foreign(self, url: httpx2.URL) -> httpx2.Request:
        """A request to where the gate sends us."""
        return self._request("GET", url, {}, 0.0)

    def within(self, seconds: float) -> "Terms":
        """With no more patience than this."""
        short = replace(self.patience, seconds=min(self.patience.seconds, max(0.0, seconds)))
        return replace(self, patience=short)

    def _request(
        self, method: str, url: httpx2.URL, headers: Mapping[str, str], quiet: float, **content: Any
    ) -> httpx2.Request:
        common = {
            "Host": url.netloc.decode("ascii"),
            "User-Agent": USER_AGENT,
            "Accept": "*/*",
            "Accept-Encoding": "identity",
        }
        timeout = httpx2.Timeout(
            self.timeout, connect=min(_CONNECT_SECONDS, self.timeout), read=self.timeout + quiet
        )
        return httpx2.Request(
            method,
            url,
            headers=common | dict(headers),
            extensions={"timeout": timeout.as_dict()},
            **content,
        )


def ask(terms: Terms, call: Call, model: type[Model]) -> Flow[Model]:
    """What the gate answers. Raises `RequestRefused`, `GateFailed`, `Unavailable` or `NoGate`."""
    response = yield from send(terms, call)
    return parsed(response, model)


def send(terms: Terms, call: Call, attempts: "Attempts | None" = None) -> Flow[httpx2.Response]:
    """A good answer. Raises as `ask` does."""
    attempts = attempts or Attempts(terms, again=call.again)
    while True:
        try:
            response = yield from sent(terms.request(call))
        except httpx2.TransportError as lost:
            yield Pause(attempts.failed(no_answer(lost), again=may_pass(lost)))
            continue
        if response.is_success:
            return response
        error = refusal(response.status_code, response.content)
        if response.status_code not in TRANSIENT:
            raise error
        yield Pause(attempts.failed(error, retry_after(response.headers)))


def open_stream(terms: Terms, call: Call) -> Flow[httpx2.Response]:
    """The answer, unread: 2xx or a redirect. Raises as `ask` does."""
    attempts = Attempts(terms, again=call.again)
    while True:
        try:
            response = yield from opened(terms.request(call))
            status = response.status_code
            if response.is_success or response.has_redirect_location:
                return response
            error = refusal(status, (yield from whole(response)))
            yield Close(response)
        except httpx2.TransportError as lost:
            yield Pause(attempts.failed(no_answer(lost), again=may_pass(lost)))
            continue
        if status not in TRANSIENT:
            raise error
        yield Pause(attempts.failed(error, retry_after(response.headers)))


def whole(response: httpx2.Response) -> Flow[bytes]:
    """The rest of an open response, as far as a problem document goes."""
    content = b""
    while len(content) < _LARGEST_PROBLEM and (chunk := (yield from next_chunk(response))):
        content += chunk
    return content


class Attempts:
    """Tries of one thing that came to nothing. `unsure`: one of them may have come through, and
    its answer was lost."""

    def __init__(self, terms: Terms, *, again: bool = True) -> None:
        self._terms = terms
        self._again = again
        self._started = terms.clock()
        self.count = 0
        self.unsure = False

    def failed(self, error: GateError, asked: float | None = None, *, again: bool = True) -> float:
        """Seconds until the next try. Raises `error` if there is to be none."""
        self.count += 1
        self.unsure |= error.status not in (429, 503)
        terms = self._terms
        waited = terms.clock() - self._started
        pause = terms.patience.pause(self.count, waited, asked, terms.chance())
        if pause is None or not (again and self._again):
            raise error
        return pause


def parsed(response: httpx2.Response, model: type[Model]) -> Model:
    try:
        return model.model_validate_json(response.content)
    except ValidationError as error:
        raise NoGate("what answers at this address is no gate") from error


def refusal(status: int, content: bytes) -> GateError:
    """The problem document as an error: the caller's to mend, the gate's, or nobody's."""
    problem = _problem(content)
    if status in TRANSIENT:
        detail = problem.get("detail") or f"the gate does not answer: it says {status}"
        return Unavailable(detail, code=problem.get("code"), status=status, problem=problem)
    if not problem:
        return NoGate(f"what answers at this address is no gate: it says {status}", status=status)
    kind = RequestRefused if status < 500 else GateFailed
    return kind(problem["detail"], code=problem["code"], status=status, problem=problem)


def no_answer(error: httpx2.TransportError) -> Unavailable:
    return Unavailable(f"the gate does not answer: {error or type(error).__name__}")


def may_pass(error: BaseException | None) -> bool:
    """Whether another try may fare better: no certificate gets better by waiting."""
    if isinstance(error, httpx2.LocalProtocolError | httpx2.UnsupportedProtocol):
        return False
    seen = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return False
        seen = seen.__cause__ or seen.__context__
    return True


def _problem(content: bytes) -> dict[str, Any]:
    """The problem document; empty where there is none."""
    try:
        document = json.loads(content)
    except ValueError:
        return {}
    if not isinstance(document, dict):
        return {}
    told = all(isinstance(document.get(name), str) for name in ("code", "detail"))
    return document if told else {}
