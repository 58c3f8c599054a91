"""The sanitized adapter on this machine: what the report names, or nothing."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.policy import Policy
from core.report import FileFacts, InputFacts, OutputFacts, Report
from safelora import DownloadDamaged, Gate, GateFailed, Patience, RequestRefused, Unavailable
from tests.app.following import cancel, end, posted
from tests.app.gate import SANITIZED
from tests.app.gate import Gate as RealGate
from tests.safelora.conftest import Connect
from tests.safelora.serving import LOST, Scripted, Told, problem, says, scripted, served

QUICK = Patience(seconds=60.0, first_pause=0.01, longest_pause=0.01)
KEY = "slg_very-secret"
DATA = b"sanitized" * 1000
SHA256 = hashlib.sha256(DATA).hexdigest()


def report_bytes(**fields: Any) -> bytes:
    files = [
        FileFacts(name=name, size=len(data), sha256=hashlib.sha256(data).hexdigest())
        for name, data in SANITIZED.items()
    ]
    report = Report(
        verdict="projected",
        alignment=None,
        policy=Policy(),
        input=InputFacts(),
        output=OutputFacts(files=files),
    )
    return report.model_copy(update=fields).as_bytes()


def kept(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(params=["gate", "s3_gate"])
def any_real(request: pytest.FixtureRequest) -> Iterator[tuple[RealGate, str]]:
    gate: RealGate = request.getfixturevalue(request.param)
    with served(gate.client.app) as url:
        yield gate, url


def test_adapter_is_brought_here(
    any_real: tuple[RealGate, str], connect: Connect, tmp_path: Path
) -> None:
    """From a folder and from S3, over what lies there, into folders that are made."""
    gate, url = any_real
    gate.register()
    request = gate.services.records.request("default", posted(gate))
    assert request is not None
    gate.finish(request, report=report_bytes())
    target = tmp_path / "models" / "one"
    client = connect(url)
    for _ in range(2):
        paths = client.download(request.id, target)
        assert set(paths) == {target / name for name in SANITIZED}
        assert kept(target) == SANITIZED


def test_attestation_comes_along(
    any_real: tuple[RealGate, str], connect: Connect, tmp_path: Path
) -> None:
    """As the gate keeps it; that of another result does not stay beside files it is not of."""
    gate, url = any_real
    gate.register()
    request = gate.services.records.request("default", posted(gate))
    assert request is not None
    gate.finish(request, report=report_bytes(), attestation=b"{}\n")
    other = gate.services.records.request("default", posted(gate))
    assert other is not None
    gate.finish(other, report=report_bytes())
    client, target = connect(url), tmp_path / "one"
    paths = client.download(request.id, target)
    assert set(paths) == {target / name for name in (*SANITIZED, "attestation.json")}
    assert kept(target) == {**SANITIZED, "attestation.json": b"{}\n"}
    client.download(other.id, target)
    assert kept(target) == SANITIZED


def test_attestation_that_is_not_to_be_had_stops_all(connect: Connect, tmp_path: Path) -> None:
    """A result without it would be taken for one that never had any."""
    gone = problem(410, "result_expired")
    with (
        scripted(report_of(ONE), Told(200, DATA), gone) as script,
        pytest.raises(RequestRefused) as caught,
    ):
        connect(script.url).download("j", tmp_path)
    assert caught.value.code == "result_expired"
    assert kept(tmp_path) == {}


@pytest.mark.parametrize("state", ["queued", "failed", "cancelled", "rejected", "scored"])
def test_job_without_adapter_says_why(
    gate: RealGate, client: Gate, tmp_path: Path, state: str
) -> None:
    """In the gate's words; nothing is made here."""
    gate.register()
    job_id = posted(gate)
    request = gate.services.records.request("default", job_id)
    assert request is not None
    if state == "failed":
        end(gate, job_id)
    elif state == "cancelled":
        cancel(gate, job_id)
    elif state == "rejected":
        gate.finish(request, "rejected", report=report_bytes(output=None))
    elif state == "scored":
        gate.finish(request, "scored", report=report_bytes(output=None))
    codes = {"queued": "job_not_finished", "scored": "no_adapter"}
    with pytest.raises(RequestRefused) as caught:
        client.download(job_id, tmp_path / "out")
    assert caught.value.code == codes.get(state, f"job_{state}")
    assert not (tmp_path / "out").exists()


# A gate that is told what to send


def report_of(*files: dict[str, Any]) -> Told:
    return says(200, {"verdict": "projected", "output": {"files": list(files)}})


ONE = {"name": "a.safetensors", "size": len(DATA), "sha256": SHA256}
UNATTESTED = problem(404, "not_attested")


@pytest.mark.parametrize(
    "sent",
    [
        DATA[:-1] + b"!",
        DATA + b"!",
        DATA * 400,
        DATA[:-1],
        b"",
    ],
)
def test_what_is_another_file_is_not_kept(connect: Connect, tmp_path: Path, sent: bytes) -> None:
    """Nor what came before it; what lay there stays as it was."""
    (tmp_path / "a.safetensors").write_bytes(b"old")
    other = {"name": "b.json", "size": len(DATA), "sha256": SHA256}
    answers = [report_of(other, ONE), Told(200, DATA), Told(200, sent)]
    with scripted(*answers) as script, pytest.raises(DownloadDamaged) as caught:
        connect(script.url, patience=QUICK).download("j", tmp_path)
    assert caught.value.code == "download_damaged"
    assert kept(tmp_path) == {"a.safetensors": b"old"}
    assert len(script.heard) == 3


def test_download_that_breaks_off_is_begun_again(connect: Connect, tmp_path: Path) -> None:
    cut = Told(200, DATA, cut=5000)
    with scripted(report_of(ONE), cut, LOST, Told(503), Told(200, DATA), UNATTESTED) as script:
        connect(script.url, patience=QUICK).download("j", tmp_path)
    assert kept(tmp_path) == {"a.safetensors": DATA}


@pytest.mark.parametrize(
    "file",
    [
        ONE | {"name": "../a"},
        ONE | {"name": "/etc/passwd"},
        ONE | {"name": ""},
        ONE | {"name": ".."},
        ONE | {"name": ".bashrc"},
        ONE | {"name": "a/b"},
        ONE | {"name": "a\\b"},
        ONE | {"name": "a\n"},
        ONE | {"sha256": None},
        ONE | {"sha256": SHA256.upper()},
        ONE | {"sha256": SHA256 + "\n"},
    ],
)
def test_report_that_cannot_be_held_to_is_refused(
    connect: Connect, tmp_path: Path, file: dict[str, Any]
) -> None:
    """Names that lead elsewhere, and files without a digest: before anything is fetched."""
    with scripted(report_of(ONE, file), Told(200, DATA)) as script:
        with pytest.raises(DownloadDamaged):
            connect(script.url).download("j", tmp_path / "out")
        assert len(script.heard) == 1
    assert not (tmp_path / "out").exists()


def test_report_without_files_is_refused(connect: Connect, tmp_path: Path) -> None:
    """Even where the gate has an archive for us."""
    with scripted(report_of(), Told(200, b"PK")) as script, pytest.raises(DownloadDamaged):
        connect(script.url).download("j", tmp_path)
    assert kept(tmp_path) == {}


# Where the gate sends us


def sees_key(script: Scripted) -> list[bool]:
    return [
        KEY in json.dumps([heard.path, *heard.headers.items()]) or KEY.encode() in heard.body
        for heard in script.heard
    ]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_key_stays_with_the_gate(connect: Connect, tmp_path: Path, host: str, status: int) -> None:
    """Neither another host nor another port of this one gets it; nor does where that one leads."""
    with scripted(Told(200, DATA)) as last, scripted(Told(0), host=host) as store:
        store.answers[:] = [Told(307, b"", {"Location": f"{last.url}/moved"})]
        there = Told(status, b"", {"Location": f"{store.url}/signed?sig=1"})
        with scripted(report_of(ONE), there, UNATTESTED) as script:
            connect(script.url, KEY).download("j", tmp_path)
    assert kept(tmp_path) == {"a.safetensors": DATA}
    assert sees_key(script) == [True, True, True]
    assert sees_key(store) == [False]
    assert sees_key(last) == [False]
    assert [heard.path for heard in store.heard] == ["/signed?sig=1"]


def test_key_does_not_come_back_to_the_gate(connect: Connect, tmp_path: Path) -> None:
    """A redirect to the gate itself carries none either: it is an address like any other."""
    moved = Told(303, b"", {"Location": "/x"})
    with scripted(report_of(ONE), moved, Told(200, DATA), UNATTESTED) as script:
        connect(script.url, KEY).download("j", tmp_path)
    assert sees_key(script) == [True, True, False, True]


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://x:port/", "data:,x"]
)
def test_only_the_web_is_followed(connect: Connect, tmp_path: Path, location: str) -> None:
    answers = [report_of(ONE), Told(303, b"", {"Location": location})]
    with scripted(*answers) as script, pytest.raises(GateFailed) as caught:
        connect(script.url, patience=QUICK).download("j", tmp_path)
    assert caught.value.code == "redirect_refused"
    assert kept(tmp_path) == {}


def test_https_does_not_lead_to_http(tmp_path: Path) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("report.json"):
            return httpx2.Response(200, content=report_of(ONE).body)
        assert request.url.scheme == "https"
        return httpx2.Response(303, headers={"Location": "http://store.example/x"})

    with httpx2.Client(transport=httpx2.MockTransport(answer)) as http:
        client = Gate("https://gate.example", KEY, http=http)
        with pytest.raises(GateFailed, match="sends us to http://"):
            client.download("j", tmp_path)


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (403, GateFailed, "store_refused"),
        (404, GateFailed, "store_refused"),
        (303, GateFailed, "store_refused"),
        (503, Unavailable, "store_unavailable"),
    ],
)
def test_store_that_does_not_give_it_is_said_so(
    connect: Connect, tmp_path: Path, status: int, error: type[Exception], code: str
) -> None:
    """Without the address, which is a secret; one that leads round for ever is left."""
    short = Patience(seconds=0.02, first_pause=0.01, longest_pause=0.01)
    with scripted(Told(0)) as store:
        signed = f"{store.url}/x?X-Amz-Signature=secret"
        store.answers[:] = [Told(status, b"<Error/>", {"Location": signed} if status < 400 else {})]
        there = Told(303, b"", {"Location": signed})
        with scripted(report_of(ONE), there) as script, pytest.raises(error) as caught:
            connect(script.url, patience=short).download("j", tmp_path)
    assert getattr(caught.value, "code", None) == code
    assert "secret" not in str(caught.value)
    assert kept(tmp_path) == {}


@settings(deadline=None)
@given(data=st.binary(max_size=300), cuts=st.lists(st.integers(0, 300), max_size=4))
def test_whole_or_nothing(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, cuts: list[int]
) -> None:
    """However often it is cut short, what lies there at the end is the file that was named."""
    left = [cut for cut in cuts if cut < len(data)]
    digest = hashlib.sha256(data).hexdigest()

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("report.json"):
            facts = ONE | {"size": len(data), "sha256": digest}
            return httpx2.Response(200, content=report_of(facts).body)
        if request.url.path.endswith("attestation"):
            return httpx2.Response(404, content=UNATTESTED.body)
        return httpx2.Response(200, stream=Cut(data, left.pop(0) if left else None))

    target = tmp_path_factory.mktemp("whole")
    with httpx2.Client(transport=httpx2.MockTransport(answer)) as http:
        patience = Patience(first_pause=0, longest_pause=0)
        Gate("http://127.0.0.1", patience=patience, http=http).download("j", target)
    assert kept(target) == {"a.safetensors": data}


class Cut(httpx2.SyncByteStream):
    """A body that breaks off."""

    def __init__(self, data: bytes, cut: int | None) -> None:
        self._data, self._cut = data, cut

    def __iter__(self) -> Iterator[bytes]:
        yield self._data[: self._cut]
        if self._cut is not None:
            raise httpx2.ReadError("cut")


def test_problem_of_the_gate_is_told(connect: Connect, tmp_path: Path) -> None:
    """When the file itself is asked for, too."""
    answers = [report_of(ONE), problem(410, "result_expired")]
    with scripted(*answers) as script, pytest.raises(RequestRefused) as caught:
        connect(script.url).download("j", tmp_path)
    assert (caught.value.code, caught.value.status) == ("result_expired", 410)
