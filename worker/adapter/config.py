"""adapter_config.json, as PEFT or as MLX writes it."""

from typing import Any

from core.adapter_config import is_mlx
from core.canonical import DuplicateKey, parse_json_strictly
from core.findings import Finding, finding
from core.store.layout import ADAPTER_CONFIG
from worker.adapter.mlx_config import read_mlx_config
from worker.adapter.model import AdapterConfig
from worker.adapter.peft_config import read_peft_config

MAX_FIELDS = 500  # PEFT 0.21 writes 48, mlx-lm 30


def read_config(data: bytes) -> tuple[AdapterConfig | None, list[Finding]]:
    """The config, or None where the findings leave no update to speak of.

    A finding that a policy may strip leaves the config as it is without what was found.
    """
    fields, found = _object(data)
    if found:
        return None, found
    return read_mlx_config(fields) if is_mlx(fields) else read_peft_config(fields)


def _object(data: bytes) -> tuple[dict[str, Any], list[Finding]]:
    try:
        fields = parse_json_strictly(data)
    except DuplicateKey as error:
        return {}, [finding("duplicate_key", "field", ADAPTER_CONFIG, str(error))]
    except ValueError as error:
        return {}, [finding("config_invalid", "file", ADAPTER_CONFIG, str(error)[:200])]
    if not isinstance(fields, dict):
        return {}, [finding("config_invalid", "file", ADAPTER_CONFIG, "no JSON object")]
    if len(fields) > MAX_FIELDS:  # naming each would only flood the report
        detail = f"{len(fields)} fields; {MAX_FIELDS} are accepted"
        return {}, [finding("config_invalid", "file", ADAPTER_CONFIG, detail)]
    return fields, []
