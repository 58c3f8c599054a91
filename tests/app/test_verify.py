"""`safelora-gate verify`: what it says, and its exit codes, which platforms rely on."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.cli import cli
from core.attestation.key_set import KEY_SET_LIMIT
from core.policy import Policy, parse_policy
from core.store.layout import ADAPTER_MODEL
from tests.attested import ALIGNMENT, key_set, publish, report, seed

KEY, OTHER = seed(1), seed(2)
VERIFIED, FAILED, WRONG_ARGUMENTS, NOT_VERIFIED = 0, 1, 2, 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return publish(tmp_path / "adapter", KEY)


@pytest.fixture
def keys(tmp_path: Path) -> str:
    path = tmp_path / "keys.json"
    path.write_bytes(key_set([KEY]))
    return str(path)


def verify(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["verify", str(folder), *arguments])


def test_verified_folder_is_told_with_what_was_done(folder: Path, keys: str) -> None:
    """Exit 0, nothing on stderr, and the facts that are attested."""
    done = verify(folder, "--keys", keys)
    assert (done.exit_code, done.stderr) == (VERIFIED, "")
    for word in (KEY.public.id, ALIGNMENT, "projected, 14 of 28 modules", "sha256:"):
        assert word in done.stdout


def test_what_is_wrong_is_on_stderr_with_its_code(folder: Path, keys: str) -> None:
    """Exit 3, one line for each thing, and nothing on stdout that could be taken for a yes."""
    (folder / ADAPTER_MODEL).write_bytes(b"x")
    (folder / "x\x1b[2J.bin").write_bytes(b"x")
    done = verify(folder, "--keys", keys)
    assert (done.exit_code, done.stdout) == (NOT_VERIFIED, "")
    lines = done.stderr.splitlines()
    assert [line.partition("]")[0] for line in lines] == [
        "not verified [file_not_attested",
        "not verified [size_differs",
    ]
    assert all(line.isprintable() for line in lines)


def test_json_says_the_same_to_programs(folder: Path, keys: str) -> None:
    """Verified or not, with the same exit codes."""
    done = verify(folder, "--keys", keys, "--json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["verified"], told["problems"]) == (VERIFIED, True, [])
    assert told["key"] == KEY.public.id
    assert told["predicate"]["alignment"]["id"] == ALIGNMENT
    (folder / ADAPTER_MODEL).unlink()
    done = verify(folder, "--keys", keys, "--json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["verified"]) == (NOT_VERIFIED, False)
    assert [p["code"] for p in told["problems"]] == ["file_missing"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--engine", "0.2.0"], None),
        (["--engine", "9.0"], "engine_too_old"),
        (["--alignment", "other", "--alignment", ALIGNMENT], None),
        (["--alignment", "other"], "alignment_not_allowed"),
        (["--verdict", "projected", "--verdict", "unchanged"], None),
        (["--verdict", "unchanged"], "verdict_not_allowed"),
    ],
)
def test_what_is_required(folder: Path, keys: str, arguments: list[str], code: str | None) -> None:
    """Each flag lets in what it says, and nothing else."""
    done = verify(folder, "--keys", keys, *arguments)
    assert done.exit_code == (NOT_VERIFIED if code else VERIFIED)
    assert (code or "") in done.stderr


def test_weaker_policy_does_not_pass(tmp_path: Path, keys: str) -> None:
    """Exit 3 and the fields; a stronger one passes."""
    floor = tmp_path / "floor.json"
    floor.write_bytes(json.dumps(Policy().as_json()).encode())
    for name, threshold, code in (("weak", 0.2, NOT_VERIFIED), ("strong", 0.5, VERIFIED)):
        policy = parse_policy(json.dumps({"selection": {"threshold": threshold}}).encode())
        made = publish(tmp_path / name, KEY, report(policy))
        done = verify(made, "--keys", keys, "--policy", str(floor))
        assert done.exit_code == code, done.stderr
    assert verify(tmp_path / "weak", "--keys", keys).exit_code == VERIFIED


def test_allowed_file_passes_by_its_name(folder: Path, keys: str) -> None:
    """And no other."""
    (folder / "README.md").write_text("# mine")
    assert verify(folder, "--keys", keys).exit_code == NOT_VERIFIED
    assert verify(folder, "--keys", keys, "--allow", "README.md").exit_code == VERIFIED


@pytest.mark.parametrize(
    "arguments",
    [
        ["--policy", "no-such-file.json"],
        ["--engine", "latest"],
        ["--engine", "1.2.3.4.5"],
        ["--verdict", "scored"],
        ["--keys", "http://gate.example/.well-known/safelora-gate/keys"],
        ["--keys", "ftp://127.0.0.1/keys"],
        ["--keys", "https:///keys"],
        ["--nonsense"],
    ],
)
def test_wrong_arguments(folder: Path, keys: str, arguments: list[str]) -> None:
    """Exit 2, whatever the folder is like; keys that anyone can change on the way are refused."""
    assert verify(folder, "--keys", keys, *arguments).exit_code == WRONG_ARGUMENTS


def test_policy_that_is_none_is_a_wrong_argument(folder: Path, keys: str) -> None:
    """A floor that nobody understands must not be no floor."""
    floor = folder.parent / "floor.json"
    floor.write_text('{"selection": {"treshold": 0.5}}')
    done = verify(folder, "--keys", keys, "--policy", str(floor))
    assert done.exit_code == WRONG_ARGUMENTS
    assert "treshold" in done.stderr


def test_folder_and_keys_are_needed(tmp_path: Path, folder: Path, keys: str) -> None:
    """Exit 2."""
    assert verify(tmp_path / "none", "--keys", keys).exit_code == WRONG_ARGUMENTS
    assert verify(folder).exit_code == WRONG_ARGUMENTS


@pytest.mark.parametrize("content", [None, b"", b"{}", b"x" * (KEY_SET_LIMIT + 1)])
def test_keys_that_cannot_be_had(folder: Path, content: bytes | None) -> None:
    """Exit 1: nothing is known of the folder, neither good nor bad."""
    path = folder.parent / "other.json"
    if content is not None:
        path.write_bytes(content)
    done = verify(folder, "--keys", str(path))
    assert (done.exit_code, done.stdout) == (FAILED, "")
    assert "error [keys_un" in done.stderr


def test_keys_of_several_gates(tmp_path: Path, folder: Path, keys: str) -> None:
    """Each is trusted; the same key retired in one of them is not."""
    other, retired = tmp_path / "other.json", tmp_path / "retired.json"
    other.write_bytes(key_set([OTHER]))
    retired.write_bytes(key_set([OTHER], [KEY]))
    assert verify(folder, "--keys", str(other)).exit_code == NOT_VERIFIED
    assert verify(folder, "--keys", str(other), "--keys", keys).exit_code == VERIFIED
    done = verify(folder, "--keys", keys, "--keys", str(retired))
    assert done.exit_code == NOT_VERIFIED
    assert "key_retired" in done.stderr


Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def answering(answer: Answer) -> Iterator[tuple[str, list[str]]]:
    """A server on this machine, its address, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            answer(self)

        def log_message(self, *_: object) -> None:
            """Not into the tests' output."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/keys", asked
        finally:
            server.shutdown()
            thread.join()


def say(status: int, content: bytes = b"", **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def test_keys_come_from_an_address_too(folder: Path) -> None:
    """On this machine over http; one request, for what was named."""
    with answering(say(200, key_set([KEY]))) as (url, asked):
        assert verify(folder, "--keys", url).exit_code == VERIFIED
    assert asked == ["/keys"]


@pytest.mark.parametrize(
    ("status", "content"), [(404, b""), (500, b""), (200, b"<html>"), (200, b" " * 2**21)]
)
def test_address_that_has_no_keys(folder: Path, status: int, content: bytes) -> None:
    """Exit 1, however long the answer is."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        with suppress(OSError):  # the command hangs up on an answer that is too long
            say(status, content)(handler)

    with answering(answer) as (url, _):
        done = verify(folder, "--keys", url)
    assert done.exit_code == FAILED
    assert "error [keys_un" in done.stderr


def test_no_redirect_is_followed(folder: Path) -> None:
    """Keys come from where they were asked for, or not at all."""
    good = answering(say(200, key_set([KEY])))
    with good as (there, asked), answering(say(302, location=there)) as (url, _):
        assert verify(folder, "--keys", url).exit_code == FAILED
    assert asked == []


def test_address_where_nobody_listens(folder: Path) -> None:
    """Exit 1."""
    with answering(say(200)) as (url, _):
        pass
    done = verify(folder, "--keys", url)
    assert (done.exit_code, done.stdout) == (FAILED, "")
    assert "keys_unreachable" in done.stderr
