"""What tries the images, held to what it is to try: it takes root and minutes, and is not run."""

import re
import subprocess

import pytest

from tests.deploy.reading import ROOT, compose, dockerfile

SCRIPTS = {path.name: path.read_text() for path in (ROOT / "deploy").glob("*.sh")}


@pytest.mark.parametrize("name", SCRIPTS)
def test_it_is_a_script(name: str) -> None:
    """Bash can read it to its end."""
    subprocess.run(["bash", "-n", ROOT / "deploy" / name], check=True)


def test_what_is_tried_is_built() -> None:
    """Both targets are the Dockerfile's, and each image that is started is one that was made."""
    built = dict(re.findall(r"^build (\S+) (\S+)$", SCRIPTS["build-images.sh"], re.M))
    assert set(built) == {"app", "worker"}
    assert {f"FROM runtime AS {target}" for target in built} <= set(dockerfile())
    started = re.findall(r"^contain (\S+) (\S+)$", SCRIPTS["try-images.sh"], re.M)
    assert {image for _, image in started} == {*built.values(), "debian-python:bookworm"}
    assert "base=localhost/debian-python:bookworm" in SCRIPTS["build-images.sh"]


def test_the_gate_is_tried_with_the_settings_of_compose() -> None:
    """By their names, of all that is started."""
    services = compose()["services"]
    meant = {
        name
        for service in ("first-start", "api", "courier", "worker-cpu")
        for name in services[service]["environment"]
    }
    assert (
        set(re.findall(r"\bSAFELORA_\w+(?==)", SCRIPTS["try-images.sh"])) - {"SAFELORA_KEY"}
        == meant
    )
