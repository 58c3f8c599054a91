"""The compose file, as Docker Compose itself reads it. `deploy/try-compose.sh` starts it."""

import os
import re
from pathlib import Path

import pytest

from core.settings import load_settings
from deploy.image.make_secrets import make
from tests.deploy.reading import ROOT, SETTINGS, Json, compose, image_environment

SERVICES = compose()["services"]
ONCE = {"secrets", "first-start"}
GATE = {name for name, service in SERVICES.items() if "build" in service} - {"secrets"}
HELD = {  # who sees which secrets
    "secrets-gate": {"api", "courier", "worker-cpu", "worker-gpu"},
    "secrets-setup": {"first-start"},
    "secrets-signing": {"first-start", "worker-cpu", "worker-gpu"},
    "secrets-redis": {"queue", "cache"},
    "secrets-store": {"store"},
}


def test_by_default_a_machine_needs_no_gpu() -> None:
    """`docker compose up` has a worker, and one that a laptop can run."""
    [line] = (ROOT / ".env").read_text().split()
    name, _, profile = line.partition("=")
    assert name == "COMPOSE_PROFILES"
    assert "worker-cpu" in compose(profile=profile)["services"]
    assert "worker-gpu" not in compose(profile=profile)["services"]
    gpu = compose(profile="gpu")["services"]
    assert {"worker-cpu", "worker-gpu"} & set(gpu) == {"worker-gpu"}
    [device] = gpu["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_has_rights_that_it_does_not_need(name: str) -> None:
    """No root, no capabilities, no root file system to write to, no way to gain any."""
    service = SERVICES[name]
    assert service["user"] == "10001:10001"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"cap_add", "privileged", "pid", "ipc", "devices"} & set(service)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_what_is_waited_for_can_be_waited_for(name: str) -> None:
    """Who is waited for to be healthy has a probe; who starts once comes to an end."""
    for other, how in SERVICES[name].get("depends_on", {}).items():
        if how["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[other], other
        else:
            assert how["condition"] == "service_completed_successfully"
            assert SERVICES[other]["restart"] == "no", other
    if name not in ONCE:
        assert SERVICES[name]["restart"] == "unless-stopped"
        assert "healthcheck" in SERVICES[name] or name == "api"  # whose image has its own


@pytest.mark.parametrize("volume", HELD)
def test_secrets_are_seen_by_those_who_need_them(volume: str) -> None:
    """Written by the service that makes them, read by these alone."""
    mounts = {
        name: mount
        for name, service in SERVICES.items()
        for mount in service.get("volumes", [])
        if mount["source"] == volume
    }
    assert set(mounts) == HELD[volume] | {"secrets"}
    assert {name for name, mount in mounts.items() if not mount.get("read_only")} == {"secrets"}


@pytest.mark.parametrize("name", sorted(GATE))
def test_a_part_starts_with_its_settings(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each variable is a setting and is taken, with the secrets that are made once."""
    make(tmp_path)
    environment = {
        variable: str(value)
        for variable, value in {**image_environment(), **SERVICES[name]["environment"]}.items()
        if variable.startswith("SAFELORA_")
    }
    assert set(environment) <= SETTINGS
    folder = Path(environment["SAFELORA_SECRETS_DIR"])
    targets = [mount["target"] for mount in SERVICES[name]["volumes"]]
    assert str(folder) in targets
    for variable in [variable for variable in os.environ if variable.startswith("SAFELORA_")]:
        monkeypatch.delenv(variable)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("SAFELORA_SECRETS_DIR", str(tmp_path / folder.name))
    settings = load_settings()
    assert settings.store.s3 is not None
    assert settings.store.s3.secret_access_key is not None
    assert settings.attestation.key is None or str(settings.attestation.key.parent) in targets
    assert settings.heartbeat == Path("/tmp/heartbeat")


def test_no_secret_is_in_an_environment() -> None:
    """Which `docker inspect` shows, and all that is started inherits."""
    variables = {name for s in SERVICES.values() for name in s.get("environment") or {}}
    assert not {name for name in variables if re.search("PASSWORD|SECRET_|TOKEN|REDIS__?URL", name)}


def flags(name: str) -> list[str]:
    command: list[str] = SERVICES[name]["command"]
    return command


def value(name: str, flag: str) -> str:
    words = flags(name)
    return words[words.index(flag) + 1]


def test_the_queue_forgets_nothing_and_the_cache_does() -> None:
    """One is written to disk and never evicts; the other is bounded."""
    assert value("queue", "--appendonly") == "yes"
    assert value("queue", "--maxmemory-policy") == "noeviction"
    assert value("cache", "--maxmemory-policy") == "allkeys-lru"
    assert value("cache", "--maxmemory")


def test_the_store_tells_nobody_and_is_reached_by_s3_alone() -> None:
    """SeaweedFS would send statistics, and its other ports ask for no key."""
    assert "-master.telemetry=false" in flags("store")
    assert "-ip.bind=127.0.0.1" in flags("store")
    assert [port["target"] for port in SERVICES["store"]["ports"]] == [8333]


def test_nothing_is_published_beyond_this_machine() -> None:
    """There is no TLS here: a proxy brings it. Redis is on a network that leads nowhere."""
    for service in SERVICES.values():
        assert {port["host_ip"] for port in service.get("ports", [])} <= {"127.0.0.1"}
    assert compose()["networks"]["inner"]["internal"] is True
    for name in ("queue", "cache"):
        assert set(SERVICES[name]["networks"]) == {"inner"}


def test_images_of_others_have_versions() -> None:
    """`latest` is another one tomorrow."""
    for service in SERVICES.values():
        assert service["image"].rpartition(":")[2] not in ("", "latest"), service["image"]


def mounted(services: Json, name: str) -> set[str]:
    return {mount["target"] for mount in services[name]["volumes"]}


def test_developers_run_their_own_checkout() -> None:
    """The code of it goes before the image's, and a change starts the part again."""
    services = compose("docker-compose.yml", "docker-compose.dev.yml")["services"]
    for name in ("api", "worker-cpu", "worker-gpu", "courier"):
        path = services[name]["environment"]["PYTHONPATH"]
        assert {f"{path}/{package}" for package in ("app", "core", "worker")} <= mounted(
            services, name
        )
        assert mounted(SERVICES, name) <= mounted(services, name)
        assert {watch["action"] for watch in services[name]["develop"]["watch"]} == {"restart"}
