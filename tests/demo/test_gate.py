"""The session with the running service, on a small pair that needs no training."""

import fcntl
import io
from pathlib import Path

from rich.console import Console

from core.policy import Policy
from core.report import Report
from demo import make_pair
from demo.llm.policy import POLICY, policy_json, stored_rank
from demo.llm.starting import running_gate


def sanitized(data: Path, console: Console) -> Report:
    """The small pair's adapter, through a service of its own."""
    pair = data.parent / "pair"
    make_pair.main(pair)
    with running_gate(data, [pair], console) as gate:
        gate.register(
            {
                "name": "tiny",
                "base": str(pair / "base"),
                "aligned": str(pair / "aligned"),
                "base_names": ["demo/tiny-chat"],
                "rank": stored_rank(POLICY),
                "default_policy": POLICY.model_dump(mode="json", exclude_defaults=True),
            }
        )
        return gate.sanitize(pair / "adapter", "tiny", data / "sanitized")


def test_a_session_leaves_the_sanitized_adapter_and_nothing_else(tmp_path: Path) -> None:
    """Also beside a service of a killed run that still lives; what a dead one left is cleared.

    The session is told in curl, without the key.
    """
    data = tmp_path / "data"
    for name in ("gate-dead", "gate-alive"):
        (data / name).mkdir(parents=True)
    told = io.StringIO()
    with (data / "gate-alive" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        report = sanitized(data, Console(file=told))
    assert {path.name for path in data.iterdir()} == {
        "gate-alive", "sanitized", "report.json",
    }  # fmt: skip
    assert {path.name for path in (data / "sanitized").iterdir()} == {
        "adapter_model.safetensors", "adapter_config.json", "attestation.json",
    }  # fmt: skip
    assert (report.verdict, report.policy) == ("projected", POLICY)
    assert "curl $GATE/v1/jobs" in told.getvalue()
    assert "slg_…" in told.getvalue()
    assert "stopped clean" in told.getvalue()


def test_the_alignment_holds_what_the_policy_uses() -> None:
    """Enough directions for a rank, all of them for a share; at least what is stored anyway."""
    complement = {"method": "complement", "side": "input"}
    assert stored_rank(Policy.model_validate({**complement, "rank": 200})) == 200
    assert stored_rank(Policy.model_validate({**complement, "energy_share": 0.5})) == 4096
    assert stored_rank(Policy()) == 64


def test_a_policy_is_told_as_one_would_write_it() -> None:
    """Without what is the default; read again it is the same."""
    assert policy_json(Policy()) == "{}"
    assert Policy.model_validate_json(policy_json(POLICY)) == POLICY
