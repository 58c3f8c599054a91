"""The whole service over HTTP, with a real worker: the same promises on a folder and on S3."""

import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import torch
from safetensors.torch import load, save

from core.store import open_store
from core.store.s3 import S3Store
from tests.archives import pack_zip
from tests.service.running import Running, golden_parts
from tests.worker.making import GOLDEN, save_checkpoint


def files_in_store(service: Running) -> list[str]:
    """Every adapter that was published, by key."""
    store = open_store(service.store)
    try:
        return [
            key
            for key in store.list("tenants/")
            if "/results/" in key and key.endswith((".safetensors", ".zip"))
        ]
    finally:
        store.close()


def test_an_adapter_posted_comes_back_projected_with_its_report(service: Running) -> None:
    """POST, wait, report, download: the modules the authors choose, and the files they expect."""
    case: dict[str, Any] = json.loads((GOLDEN / "expected.json").read_text())["cases"][0]
    policy = {"reference": True, "selection": {"threshold": 0.35}}
    accepted = service.post(policy=json.dumps(policy))
    assert accepted.headers["location"] == f"/v1/jobs/{accepted.json()['id']}"
    job = service.wait(accepted)
    assert (job["state"], job["verdict"]) == ("succeeded", "projected")
    report = service.client.get(f"/v1/jobs/{job['id']}/report").json()
    names = {
        f"base_model.model.{m['name']}.lora_B.weight" for m in report["modules"] if m["projected"]
    }
    assert names == set(case["projected"])
    weights = download(service, job, "adapter_model.safetensors")
    expected = load((GOLDEN / "expected_threshold_0.35.safetensors").read_bytes())
    assert all(torch.allclose(load(weights)[k], expected[k], atol=1e-6) for k in expected)


def test_the_archive_downloaded_is_the_adapter(service: Running) -> None:
    """`/adapter` is one .zip of the two files, on every store."""
    job = service.wait(service.post())
    answer = service.client.get(f"/v1/jobs/{job['id']}/adapter", follow_redirects=True)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert sorted(archive.namelist()) == ["adapter_config.json", "adapter_model.safetensors"]
        packed = archive.read("adapter_model.safetensors")
    assert packed == download(service, job, "adapter_model.safetensors")


def test_an_archive_uploaded_is_the_same_as_its_two_files(service: Running) -> None:
    """A .tar.gz of the adapter folder gives the result of the two parts."""
    whole = service.wait(service.post())
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(GOLDEN / "adapter", "my-adapter")
    again = service.wait(service.post({"archive": packed.getvalue()}))
    assert download(service, again, "adapter_model.safetensors") == download(
        service, whole, "adapter_model.safetensors"
    )


def download(service: Running, job: dict[str, Any], name: str) -> bytes:
    answer = service.client.get(f"/v1/jobs/{job['id']}/adapter/{name}", follow_redirects=True)
    assert answer.status_code == 200, answer.text
    return answer.content


Parts = dict[str, bytes]


def with_tensors(change: Callable[[dict[str, torch.Tensor]], None]) -> Parts:
    """The golden adapter after `change`."""
    parts = golden_parts()
    tensors = load(parts["adapter"])
    change(tensors)
    return {**parts, "adapter": save(tensors)}


Q = "base_model.model.model.layers.0.self_attn.q_proj"


def nan() -> Parts:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors[f"{Q}.lora_B.weight"][0, 0] = float("nan")

    return with_tensors(change)


def other_shape() -> Parts:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors[f"{Q}.lora_A.weight"] = torch.zeros(4, 31)

    return with_tensors(change)


def missing_module() -> Parts:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        for factor in ("A", "B"):
            moved = tensors.pop(f"{Q}.lora_{factor}.weight")
            tensors[f"base_model.model.model.layers.99.self_attn.q_proj.lora_{factor}.weight"] = (
                moved
            )

    return with_tensors(change)


def base_overwrite() -> Parts:
    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors["base_model.model.model.norm.weight"] = torch.full((32,), 1.5)

    return with_tensors(change)


def truncated() -> Parts:
    parts = golden_parts()
    return {**parts, "adapter": parts["adapter"][:-100]}


def pickled() -> Parts:
    buffer = io.BytesIO()
    torch.save({"weight": torch.zeros(2)}, buffer)
    return {**golden_parts(), "adapter": buffer.getvalue()}


def no_json() -> Parts:
    return {**golden_parts(), "config": b"{"}


REJECTED: list[tuple[Callable[[], Parts], str, str]] = [
    (nan, "non_finite", f"{Q}.lora_B.weight"),
    (other_shape, "shape_mismatch", f"{Q}.lora_A.weight"),
    (missing_module, "module_not_in_alignment", "layers.99.self_attn.q_proj"),
    (base_overwrite, "base_overwrite", "base_model.model.model.norm.weight"),
    (no_json, "config_invalid", "adapter_config.json"),
]


@pytest.mark.parametrize(
    ("parts", "code", "subject"), REJECTED, ids=lambda v: getattr(v, "__name__", None)
)
def test_a_bad_adapter_is_rejected_by_name_and_nothing_is_published(
    service: Running, parts: Callable[[], Parts], code: str, subject: str
) -> None:
    """The job ends `rejected`: finding, tensor or field, and what to do; no adapter to download."""
    before = files_in_store(service)
    job = service.wait(service.post(parts()))
    assert job["state"] == "rejected"
    found = [f for f in job["findings"] if f["code"] == code]
    assert found, job["findings"]
    assert subject in found[0]["subject"]
    assert found[0]["action"]
    refused = service.client.get(f"/v1/jobs/{job['id']}/adapter")
    assert (refused.status_code, refused.json()["code"]) == (409, "job_rejected")
    assert files_in_store(service) == before


@pytest.mark.parametrize(
    ("parts", "code"), [(truncated, "truncated_file"), (pickled, "pickle_file")]
)
def test_weights_with_a_wrong_header_are_refused_at_once(
    service: Running, parts: Callable[[], Parts], code: str
) -> None:
    """422 with the findings, no job, and nothing published; in an archive, a job that is rejected
    for the same."""
    published, jobs = files_in_store(service), service.client.get("/v1/jobs").json()
    answer = service.post(parts())
    assert (answer.status_code, answer.json()["code"]) == (422, "adapter_rejected")
    assert [found["code"] for found in answer.json()["findings"]] == [code]
    assert service.client.get("/v1/jobs").json() == jobs
    sent = parts()
    files = {"adapter_model.safetensors": sent["adapter"], "adapter_config.json": sent["config"]}
    job = service.wait(service.post({"archive": pack_zip(files)}))
    assert (job["state"], [found["code"] for found in job["findings"]]) == ("rejected", [code])
    assert files_in_store(service) == published


def climbing_tar() -> Parts:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo("../adapter_model.safetensors")
        entry.size = 4
        archive.addfile(entry, io.BytesIO(b"evil"))
    return {"archive": packed.getvalue()}


PROBLEMS: list[tuple[Callable[[], Parts], dict[str, str], int, str]] = [
    (golden_parts, {"alignment": "nobody"}, 422, "alignment_unknown"),
    (golden_parts, {"policy": '{"selection": {"threshold": 2}}'}, 422, "policy_invalid"),
    (golden_parts, {"policy": '{"selection": {"threshold": NaN}}'}, 422, "policy_invalid"),
    (climbing_tar, {}, 422, "archive_unsafe_path"),
]


@pytest.mark.parametrize(
    ("parts", "fields", "status", "code"), PROBLEMS, ids=lambda v: v if isinstance(v, str) else None
)
def test_a_bad_request_is_a_problem_that_says_what_to_do(
    service: Running, parts: Callable[[], Parts], fields: dict[str, str], status: int, code: str
) -> None:
    """RFC 9457 with a stable code, and no job is made."""
    before = service.client.get("/v1/jobs").json()
    answer = service.post(parts(), **fields)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert service.client.get("/v1/jobs").json() == before


def test_an_empty_body_is_a_problem(service: Running) -> None:
    """No body at all: a 4xx problem, not a 500."""
    answer = service.client.post("/v1/jobs", content=b"")
    assert 400 <= answer.status_code < 500
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_adapter_for_another_model_is_rejected(service: Running, tmp_path: Path) -> None:
    """The wrong alignment: each module that does not fit is named."""
    name = f"other-{uuid4().hex[:8]}"
    weights = {"model.layers.0.self_attn.q_proj.weight": torch.randn(16, 16)}
    moved = {key: value + 0.1 for key, value in weights.items()}
    record = service.register(
        name, save_checkpoint(tmp_path / "base", weights), save_checkpoint(tmp_path / "al", moved)
    )
    assert record["state"] == "ready", record
    job = service.wait(service.post(alignment=name))
    assert job["state"] == "rejected"
    assert {f["code"] for f in job["findings"]} >= {"shape_mismatch", "module_not_in_alignment"}


def test_the_original_stays_as_it_was_uploaded(service: Running) -> None:
    """The input in the store is byte for byte what was posted, whatever became of it."""
    parts = nan()
    parts["config"] += b" "  # other bytes, so that no earlier result answers for them
    job = service.wait(service.post(parts))
    store = open_store(service.store)
    key = f"tenants/default/jobs/{job['id']}/input/adapter_model.safetensors"
    assert store.get(key) == parts["adapter"]
    store.close()


def test_an_adapter_in_s3_is_read_where_the_operator_allows_it(service: Running) -> None:
    """A JSON body with an `s3://` source gives the upload's result; elsewhere it is forbidden."""
    body = {"alignment": "tiny", "source": "s3://uploads/in/golden/"}
    if service.store.s3 is None:  # nothing is allowed on this one
        answer = service.client.post("/v1/jobs", json=body)
        assert (answer.status_code, answer.json()["code"]) == (403, "source_not_allowed")
        return
    put_adapter(service, "uploads", "in/golden")
    job = service.wait(service.client.post("/v1/jobs", json=body))
    assert job["state"] == "succeeded"
    uploaded = service.wait(service.post())
    assert download(service, job, "adapter_model.safetensors") == download(
        service, uploaded, "adapter_model.safetensors"
    )
    outside = service.client.post("/v1/jobs", json={**body, "source": "s3://uploads/out/x/"})
    assert (outside.status_code, outside.json()["code"]) == (403, "source_not_allowed")


def put_adapter(service: Running, bucket: str, folder: str) -> None:
    """The golden adapter in a bucket of its own, as a platform would leave it there."""
    assert service.store.s3 is not None
    settings = service.store.s3.model_copy(update={"bucket": bucket, "prefix": ""})
    foreign = S3Store(settings)
    foreign._client.create_bucket(Bucket=bucket)
    for path in (GOLDEN / "adapter").iterdir():
        foreign.put(f"{folder}/{path.name}", path.read_bytes())
    foreign.close()


def test_probes_and_description_answer(service: Running) -> None:
    """Alive, ready, its version, and an OpenAPI description that names the job routes."""
    for path in ("/livez", "/readyz", "/version"):
        assert service.client.get(path).status_code == 200
    assert "/v1/jobs" in service.client.get("/openapi.json").json()["paths"]
