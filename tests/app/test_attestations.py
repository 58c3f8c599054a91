"""Attestations over HTTP: with the adapter, by themselves, and the keys to verify them with."""

import io
import zipfile
from pathlib import Path

import pytest

from app.description.attestation_examples import ATTESTATION as EXAMPLE
from app.description.attestation_examples import KEY_SET, STATEMENT
from core.attestation.envelope import open_envelope, parse_envelope
from core.attestation.key_set import parse_key_set
from core.attestation.published import PublishedKeys
from core.attestation.statement import parse_statement
from core.canonical import canonical_json
from core.jobs import Commit, JobRequest, JobResult
from core.report import Verdict
from core.store import layout
from core.store.layout import ATTESTATION
from tests.app.conftest import OpenGate
from tests.app.gate import SANITIZED, Gate, code_of
from tests.app.test_access import KEY, access, bearer, key
from tests.app.test_results import body, expire_all
from tests.attested import SINCE, facts, publish, seed, verified

SIGNS, OTHER = seed(1), seed(2)


def attest(gate: Gate, request: JobRequest, result: JobResult, folder: Path) -> Commit:
    """What a worker adds that has a key; the job's own record stays as it was."""
    assert result.commit is not None
    data = (publish(folder / request.id, SIGNS) / ATTESTATION).read_bytes()
    commit = result.commit
    place = layout.output(request.tenant, commit.recipe, commit.output, ATTESTATION)
    gate.services.store.put(place, data)
    files = [*commit.files, facts(ATTESTATION, data)]
    attested = commit.model_copy(update={"files": files, "signing_key": SIGNS.public.id})
    commit_key = layout.commit(request.tenant, commit.recipe)
    gate.services.store.put(commit_key, attested.as_bytes())
    return attested


def attested_job(gate: Gate, folder: Path) -> str:
    """A job that ended with an attested result."""
    gate.register()
    request = gate.request_of(gate.post())
    result = gate.finish(request)
    commit = attest(gate, request, result, folder)
    ended = result.model_copy(update={"commit": commit})
    place = layout.job_result(request.tenant, request.id)
    gate.services.store.put(place, ended.as_bytes())
    return request.id


def test_attestation_comes_with_the_adapter(any_gate: Gate, tmp_path: Path) -> None:
    """By itself, as one file, and in the .zip: the same bytes, and the job has a link to it."""
    job_id = attested_job(any_gate, tmp_path)
    signed = (tmp_path / job_id / ATTESTATION).read_bytes()
    links = any_gate.client.get(f"/v1/jobs/{job_id}").json()["links"]
    assert body(any_gate, links["attestation"]) == signed
    assert body(any_gate, f"{links['adapter']}/{ATTESTATION}") == signed
    with zipfile.ZipFile(io.BytesIO(body(any_gate, links["adapter"]))) as packed:
        files = {name: packed.read(name) for name in packed.namelist()}
    assert files == {**SANITIZED, ATTESTATION: signed}
    answer = any_gate.client.get(links["attestation"])
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_result_from_before_there_was_a_key_has_none(gate: Gate, tmp_path: Path) -> None:
    """404 that says what to do; once the same files are attested, the old job has it too."""
    gate.register()
    request = gate.request_of(gate.post())
    result = gate.finish(request)
    url = f"/v1/jobs/{request.id}"
    assert "attestation" not in gate.client.get(url).json()["links"]
    for path, code in (
        ("/attestation", "not_attested"),
        (f"/adapter/{ATTESTATION}", "file_not_found"),
    ):
        answer = gate.client.get(url + path)
        assert (answer.status_code, code_of(answer)) == (404, code)
    attest(gate, request, result, tmp_path)
    signed = (tmp_path / request.id / ATTESTATION).read_bytes()
    assert body(gate, f"{url}/attestation") == body(gate, f"{url}/adapter/{ATTESTATION}") == signed


@pytest.mark.parametrize(
    ("verdict", "code"), [("scored", "no_adapter"), ("rejected", "job_rejected")]
)
def test_what_publishes_nothing_has_no_attestation(gate: Gate, verdict: Verdict, code: str) -> None:
    """409, as for the adapter."""
    gate.register()
    request = gate.request_of(gate.post())
    gate.finish(request, verdict)
    answer = gate.client.get(f"/v1/jobs/{request.id}/attestation")
    assert (answer.status_code, code_of(answer)) == (409, code)


def test_expired_attestation_says_so(gate: Gate, tmp_path: Path) -> None:
    """410, as for the adapter."""
    job_id = attested_job(gate, tmp_path)
    expire_all(gate, results=30)
    answer = gate.client.get(f"/v1/jobs/{job_id}/attestation")
    assert (answer.status_code, code_of(answer)) == (410, "result_expired")


def test_earlier_result_answers_only_with_an_attestation_that_counts(
    gate: Gate, tmp_path: Path
) -> None:
    """As the keys come and go: none, one, the result signed with it, and that one retired."""
    published = PublishedKeys(gate.services.store)
    gate.register()
    request = gate.request_of(gate.post())
    result = gate.finish(request)
    assert gate.post().status_code == 200
    published.publish(SIGNS.public, SINCE)
    assert gate.post().status_code == 202
    attest(gate, request, result, tmp_path)
    assert gate.post().status_code == 200
    published.publish(OTHER.public, SINCE)
    assert gate.post().status_code == 200
    published.retire(SIGNS.public.id, SINCE)
    assert gate.post().status_code == 202
    published.retire(OTHER.public.id, SINCE)  # nothing better can be had
    assert gate.post().status_code == 200


@pytest.mark.parametrize("verdict", ["scored", "rejected"])
def test_results_without_an_adapter_answer_as_before(gate: Gate, verdict: Verdict) -> None:
    """They are never attested, so a key makes no difference to them."""
    gate.register()
    gate.finish(gate.request_of(gate.post()), verdict)
    PublishedKeys(gate.services.store).publish(SIGNS.public, SINCE)
    assert gate.post().status_code == 200


def test_keys_are_open_to_all(open_gate: OpenGate, tmp_path: Path) -> None:
    """Without an API key, which every other address wants; what they sign verifies with them."""
    gate = open_gate(access=access(key(KEY, "alice", "jobs")))
    published = PublishedKeys(gate.services.store)
    empty = gate.client.get("/.well-known/safelora-gate/keys")
    assert (empty.status_code, empty.json()) == (200, {"keys": [], "retired": []})
    published.publish(SIGNS.public, SINCE)
    published.publish(OTHER.public, SINCE)
    published.retire(OTHER.public.id, SINCE)
    answer = gate.client.get("/.well-known/safelora-gate/keys")
    assert [entry["kid"] for entry in answer.json()["keys"]] == [SIGNS.public.id]
    [retired] = answer.json()["retired"]
    assert (retired["kid"], retired["retired_at"]) == (OTHER.public.id, SINCE)
    assert verified(publish(tmp_path / "a", SIGNS), parse_key_set(answer.content)).verified
    assert gate.client.get("/v1/jobs").status_code == 401
    assert gate.client.get("/v1/jobs", headers=bearer(KEY)).status_code == 200


def test_no_private_key_is_in_what_is_handed_out(gate: Gate) -> None:
    """Public numbers and dates alone."""
    PublishedKeys(gate.services.store).publish(SIGNS.public, SINCE)
    [entry] = gate.client.get("/.well-known/safelora-gate/keys").json()["keys"]
    assert entry.keys() == {"kty", "crv", "x", "kid", "use", "created_at"}


def test_examples_of_the_documentation_verify(gate: Gate) -> None:
    """The example of an attestation holds by the example of the keys."""
    keys = parse_key_set(canonical_json(KEY_SET))
    payload, _ = open_envelope(parse_envelope(canonical_json(EXAMPLE)), keys)
    assert payload == canonical_json(STATEMENT)
    assert parse_statement(payload).predicate.verdict == "projected"
    paths = gate.client.get("/openapi.json").json()["paths"]
    for path, example in (
        ("/v1/jobs/{job_id}/attestation", EXAMPLE),
        ("/.well-known/safelora-gate/keys", KEY_SET),
    ):
        ok = paths[path]["get"]["responses"]["200"]["content"]["application/json"]
        assert ok["example"] == example
