"""Examples for the API's documentation."""

import json
from typing import Any, Final

POLICY: Final[dict[str, Any]] = {
    "method": "safe_lora",
    "strength": 1.0,
    "rank": None,
    "energy_share": None,
    "families": {},
    "side": None,
    "selection": {"mode": "threshold", "threshold": 0.35, "families": {}},
    "reference": False,
    "scores": "all",
    "extras": {"default": "refuse", "codes": {}},
    "suspicious": "report",
    "caps": {
        "rank": 512,
        "tensors": 20000,
        "elements": 4294967296,
        "bytes": 8589934592,
        "update_ratio": 1.0,
    },
}

JOB: Final[dict[str, Any]] = {
    "id": "7h2k9m4p6q8r0s1t3v5w7x9y2z",
    "state": "succeeded",
    "verdict": "projected",
    "created_at": "2026-11-23T09:30:00.000Z",
    "started_at": "2026-11-23T09:30:00.214Z",
    "finished_at": "2026-11-23T09:30:02.871Z",
    "alignment": {"name": "smollm2-135m", "id": "3f2a9c51d07be8846a1c90f7e2b3d4c5a6978811"},
    "policy": POLICY,
    "below_floor": [],
    "source": "upload",
    "input": [
        {
            "name": "adapter_config.json",
            "size": 912,
            "sha256": "9c56cc51b374c3ba189210d5b6d4bf57790d351c96c47c02190ecf1e430635ab",
        },
        {
            "name": "adapter_model.safetensors",
            "size": 3702288,
            "sha256": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
        },
    ],
    "summary": {
        "modules": 60,
        "projected": 11,
        "borderline": 1,
        "zero_updates": 0,
        "stripped": 0,
        "suspicious": 0,
        "retained": 0.87,
        "cosine_min": 0.12,
        "cosine_median": 0.44,
        "cosine_max": 0.71,
    },
    "findings": [],
    "findings_total": 0,
    "error": None,
    "progress": None,
    "timings": {"read": 0.1, "align": 0.9, "score": 1.2, "project": 0.2, "total": 2.6},
    "from_earlier_result": False,
    "metadata": {"run": "ft-2041"},
    "destination": None,
    "callback_url": None,
    "retry_of": None,
    "links": {
        "self": "/v1/jobs/7h2k9m4p6q8r0s1t3v5w7x9y2z",
        "report": "/v1/jobs/7h2k9m4p6q8r0s1t3v5w7x9y2z/report",
        "adapter": "/v1/jobs/7h2k9m4p6q8r0s1t3v5w7x9y2z/adapter",
        "attestation": "/v1/jobs/7h2k9m4p6q8r0s1t3v5w7x9y2z/attestation",
    },
}

QUEUED: Final[dict[str, Any]] = JOB | {
    "state": "queued",
    "verdict": None,
    "started_at": None,
    "finished_at": None,
    "summary": None,
    "timings": {},
    "links": {"self": "/v1/jobs/7h2k9m4p6q8r0s1t3v5w7x9y2z"},
}

EVENT_STREAM: Final = "\n".join(
    [
        "event: state",
        f"data: {json.dumps(QUEUED)}",
        "id: 1795426200000-0",
        "",
        "event: progress",
        'data: {"stage":"score","done":31,"total":60}',
        "id: 1795426201507-0",
        "",
        ": still here",
        "",
        "event: state",
        f"data: {json.dumps(JOB)}",
        "id: final",
        "",
        "",
    ]
)

ALIGNMENT: Final[dict[str, Any]] = {
    "name": "smollm2-135m",
    "state": "ready",
    "id": "3f2a9c51d07be8846a1c90f7e2b3d4c5a6978811",
    "base": "/models/SmolLM2-135M",
    "aligned": "/models/SmolLM2-135M-Instruct",
    "modules": None,
    "base_names": ["HuggingFaceTB/SmolLM2-135M-Instruct"],
    "dtype": "auto",
    "rank": 64,
    "default_policy": POLICY,
    "floor": POLICY,
    "error": None,
    "warnings": [],
    "progress": None,
    "created_at": "2026-11-23T09:00:00.000Z",
    "finished_at": "2026-11-23T09:00:41.307Z",
}

BUILDING: Final[dict[str, Any]] = ALIGNMENT | {
    "state": "building",
    "id": None,
    "progress": {"stage": "align", "done": 12, "total": 210},
    "finished_at": None,
}
READY: Final[dict[str, Any]] = {
    "status": "ok",
    "checks": {"store": "ok", "redis": "ok", "disk": "ok", "workers": "missing", "courier": "ok"},
    "warnings": ["workers"],
}
