"""Real weights, end to end: SmolLM2-135M, an aligned sibling, an adapter trained with PEFT."""

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from core.store.settings import StoreSettings
from tests.real.smollm2 import DEFAULT_CACHE, RealCase, generate, real_case
from tests.servers import ValkeyServer
from tests.service.running import Running, running_service

pytestmark = pytest.mark.real

POLICIES: dict[str, dict[str, object]] = {
    "safe_lora": {"selection": {"mode": "lowest", "share": 0.5}},
    "complement": {
        "method": "complement",
        "side": "input",
        "rank": 2,
        "selection": {"mode": "all"},
    },
    "zero": {"method": "zero", "selection": {"mode": "all"}},
}
TRAINED = "Note: Ben gave a lantern to Hana."


@pytest.fixture(scope="module")
def case() -> RealCase:
    torch.set_num_threads(os.cpu_count() or 1)
    return real_case(DEFAULT_CACHE)


def sanitize(service: Running, case: RealCase, policy: dict[str, object], folder: Path) -> None:
    """Post the adapter over HTTP, wait, and download what came of it into `folder`."""
    parts = {
        "adapter": (case.adapter / "adapter_model.safetensors").read_bytes(),
        "config": (case.adapter / "adapter_config.json").read_bytes(),
    }
    accepted = service.post(parts, alignment="smollm2", policy=json.dumps(policy))
    job = service.wait(accepted)
    assert (job["state"], job["verdict"]) == ("succeeded", "projected"), job
    assert job["summary"]["modules"] == 60
    folder.mkdir()
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        answer = service.client.get(f"/v1/jobs/{job['id']}/adapter/{name}")
        (folder / name).write_bytes(answer.content)


def test_a_real_adapter_goes_through_the_running_service(
    case: RealCase, valkey: ValkeyServer, tmp_path: Path
) -> None:
    """Posted over HTTP, projected by a real worker, loaded by stock PEFT, and it generates text.

    With every module zeroed the model answers as the aligned one does; the adapter as uploaded
    answers otherwise; two methods between the two change some modules and give text.
    """
    aligned_text = generate(case.aligned, None, TRAINED)
    assert generate(case.aligned, case.adapter, TRAINED) != aligned_text
    store = StoreSettings(path=tmp_path / "store")
    with running_service(
        store, valkey.url, tmp_path, s3_allow=[], roots=[case.base.parent]
    ) as service:
        record = service.register("smollm2", case.base, case.aligned)
        assert record["state"] == "ready", record
        for name, policy in POLICIES.items():
            sanitize(service, case, policy, tmp_path / name)
    texts = {name: generate(case.aligned, tmp_path / name, TRAINED) for name in POLICIES}
    assert all(texts.values())
    assert texts["zero"] == aligned_text
    before = load_file(case.adapter / "adapter_model.safetensors")
    after = load_file(tmp_path / "safe_lora" / "adapter_model.safetensors")
    changed = [k for k in before if not torch.equal(before[k], after[k])]
    assert len(changed) == 30
    assert all("lora_B" in key for key in changed)
