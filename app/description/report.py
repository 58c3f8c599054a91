"""A report for the API's documentation: of an adapter with one module."""

from typing import Any, Final

from app.description.examples import POLICY
from core.report import ENGINE_NAME, ENGINE_VERSION, SCHEMA

_ROW: Final[dict[str, Any]] = {
    "name": "model.layers.0.self_attn.q_proj",
    "layer": 0,
    "family": "q_proj",
    "rank": 8,
    "scaling": 2.0,
    "out": 576,
    "in": 576,
    "cosine": 0.2927,
    "baseline": 0.1401,
    "signed": 0.0163,
    "undo": 0.0168,
    "energy": 0.5623,
    "input_energy": 0.5437,
    "directions": None,
    "purity": 0.4007,
    "confined": 0.0,
    "retained": 0.0586,
    "update_ratio": 0.0504,
    "projected": True,
    "borderline": False,
    "reason": "below_cut",
    "refactored": False,
    "widened": False,
}

REPORT: Final[dict[str, Any]] = {
    "schema": SCHEMA,
    "verdict": "projected",
    "summary": {
        "modules": 1,
        "projected": 1,
        "borderline": 0,
        "zero_updates": 0,
        "stripped": 0,
        "suspicious": 0,
        "retained": 0.0586,
        "cosine_min": 0.2927,
        "cosine_median": 0.2927,
        "cosine_max": 0.2927,
    },
    "modules": [_ROW],
    "findings": [],
    "alignment": {
        "id": "3f2a9c51d07be8846a1c90f7e2b3d4c5a6978811",
        "name": "smollm2-135m",
        "rank": 64,
        "storage_loss": 0.0012,
    },
    "policy": POLICY,
    "input": {
        "files": [
            {
                "name": "adapter_model.safetensors",
                "size": 37232,
                "sha256": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
            }
        ],
        "base_model_name_or_path": "HuggingFaceTB/SmolLM2-135M-Instruct",
    },
    "output": {
        "files": [
            {
                "name": "adapter_model.safetensors",
                "size": 37344,
                "sha256": "09b598b7a830f53331082ccd76e4abd83839306faa5e93d2221727685264c509",
            }
        ],
        "widened": [],
        "verified": 1,
    },
    "engine": {"name": ENGINE_NAME, "version": ENGINE_VERSION},
}

PREVIEW: Final[dict[str, Any]] = {
    "policy": POLICY | {"selection": {"mode": "threshold", "threshold": 0.4, "families": {}}},
    "verdict": "projected",
    "summary": REPORT["summary"],
    "modules": [
        {name: _ROW[name] for name in ("name", "projected", "borderline", "reason")},
    ],
    "below_floor": [],
}
"""Of what another selection would choose of it."""
