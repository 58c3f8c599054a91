"""What is deployed, read by the tools that are meant to read it."""

import json
import os
import subprocess
import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from core.settings import NOT_SETTINGS, PREFIX, Settings
from tests.docs.test_references import settings_of

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
OVERLAYS = sorted(path.name for path in (KUBERNETES / "overlays").iterdir())
COMPONENT = "app.kubernetes.io/component"
SETTINGS = settings_of(Settings, PREFIX) | NOT_SETTINGS
Json = dict[str, Any]


def tool(name: str, *arguments: str, **environment: str) -> str:
    """What a program that pip installed prints. It reaches no engine and no cluster."""
    done = subprocess.run(
        [str(Path(sysconfig.get_path("scripts")) / name), *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@cache
def compose(*files: str, profile: str = "*") -> Json:
    """The compose file as Docker Compose understands it: merged, with defaults, profiles chosen."""
    named = [word for file in files or ("docker-compose.yml",) for word in ("--file", file)]
    read: Json = json.loads(
        tool("docker-compose", *named, "config", "--format", "json", COMPOSE_PROFILES=profile)
    )
    return read


@cache
def manifests(overlay: str) -> list[Json]:
    """An overlay's resources, as `kubectl apply -k` would send them."""
    rendered = tool("kubectl", "kustomize", str(KUBERNETES / "overlays" / overlay))
    return list(yaml.safe_load_all(rendered))


def kind(overlay: str, *names: str) -> list[Json]:
    return [resource for resource in manifests(overlay) if resource["kind"] in names]


def named(overlay: str, kind_: str, name: str) -> Json:
    [found] = [r for r in kind(overlay, kind_) if r["metadata"]["name"] == name]
    return found


@cache
def templates(overlay: str) -> dict[str, Json]:
    """What pods are made from, by what makes them."""
    makers = kind(overlay, "Deployment", "StatefulSet", "Job")
    return {maker["metadata"]["name"]: maker["spec"]["template"] for maker in makers}


def containers(overlay: str) -> Iterator[tuple[str, Json, Json]]:
    for name, template in templates(overlay).items():
        for container in template["spec"]["containers"]:
            yield name, template["spec"], container


def selected(overlay: str, labels: Json) -> set[str]:
    return {
        name
        for name, template in templates(overlay).items()
        if labels.items() <= template["metadata"]["labels"].items()
    }


def components_of(selector: Json) -> set[str]:
    """The components that a pod selector means."""
    found = (
        {selector["matchLabels"][COMPONENT]}
        if COMPONENT in selector.get("matchLabels", {})
        else set()
    )
    for expression in selector.get("matchExpressions", []):
        assert (expression["key"], expression["operator"]) == (COMPONENT, "In")
        found |= set(expression["values"])
    return found


def secrets() -> dict[str, Json]:
    """What each Secret of the example holds, by its name."""
    documents = yaml.safe_load_all((KUBERNETES / "secrets.example.yaml").read_text())
    return {secret["metadata"]["name"]: secret["stringData"] for secret in documents}


def dockerfile() -> list[str]:
    """Its instructions, each on one line."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def image_environment() -> dict[str, str]:
    """The variables that both images set."""
    [line] = [line for line in dockerfile() if line.startswith("ENV PATH=")]
    pairs = (word.partition("=") for word in line.removeprefix("ENV ").split())
    return {name: value for name, _, value in pairs}
