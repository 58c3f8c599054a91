"""What the images are made of."""

import re
import shlex
import tomllib

import pytest

from app.cli import COMMANDS
from tests.deploy.reading import ROOT, SETTINGS, compose, dockerfile, image_environment, tool

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_hadolint_finds_nothing() -> None:
    """But that the compiler has no version: it is the base's, and is in no image."""
    tool("hadolint", "--ignore", "DL3008", "Dockerfile")


def test_its_variables_are_settings() -> None:
    """A gate does not start with one that is none."""
    ours = {name for name in image_environment() if name.startswith("SAFELORA_")}
    assert ours
    assert ours <= SETTINGS


@pytest.mark.parametrize("stage", ["app", "worker"])
def test_an_image_is_nobodys_root_and_tells_of_its_health(stage: str) -> None:
    """A user by number, which Kubernetes can check; a probe that no engine need be told."""
    lines = dockerfile()
    start = lines.index(f"FROM runtime AS {stage}")
    ends = [i for i, line in enumerate(lines) if i > start and line.startswith("FROM ")]
    own = lines[start : ends[0] if ends else None]
    assert any(line.startswith("HEALTHCHECK ") for line in own)
    assert "USER 10001:10001" in lines[lines.index("FROM ${BASE} AS runtime") : start]
    assert not [line for line in own if line.startswith("USER ")]


def test_what_is_started_is_a_command() -> None:
    """Of the terminal, by the images themselves and by compose."""
    started = [shlex.split(re.sub(r'[\[\],"]', " ", x)) for x in dockerfile() if x[:4] == "CMD "]
    started += [
        ["CMD", *service["command"]]
        for service in compose()["services"].values()
        if (service.get("command") or [""])[0] == "safelora-gate"
    ]
    assert {words[2] for words in started} == {"serve", "worker", "courier"}
    assert {words[2] for words in started} <= set(COMMANDS)


def test_what_is_copied_reaches_the_build() -> None:
    """`.dockerignore` lets it through, and it is there."""
    passed = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")
    }
    for line in dockerfile():
        words = line.split()
        if words[0] == "COPY" and not words[1].startswith("--from"):
            for source in words[1:-1]:
                assert (ROOT / source).exists(), source
                assert any(source == path or source.startswith(f"{path}/") for path in passed)


def test_versions_agree() -> None:
    """Of the package, the images' labels and what compose calls them."""
    assert f'org.opencontainers.image.version="{VERSION}"' in " ".join(dockerfile())
    ours = [s["image"] for s in compose()["services"].values() if "build" in s]
    assert ours
    assert all(re.search(rf":{re.escape(VERSION)}(-|$)", image) for image in ours), ours


def test_nothing_names_a_place_to_download_from() -> None:
    """Where packages and images come from is configured by who builds."""
    places = [
        ROOT / "Dockerfile",
        *(ROOT / "deploy").glob("*.sh"),
        *(ROOT / "deploy/image").glob("*"),
    ]
    for path in places:
        if path.is_file():
            assert not re.search(
                r"https://|(--index-url|--extra-index-url) [^\"]", path.read_text()
            ), path
