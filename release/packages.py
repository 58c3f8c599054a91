"""Whether the packages build, install where nothing else is, and run there."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from release.tree import project

_START_SECONDS = 60
_SERVED = ("/", "/static/page.css", "/static/home.js", "/docs", "/openapi.json")
"""Pages whose templates and files lie in the package."""


def build(root: Path, folder: Path) -> list[Path]:
    """Wheel and source distribution, as an index would be given them."""
    python = make_environment(folder / "tools")
    _run(python, "-m", "pip", "install", "--quiet", "build")
    out = folder / "dist"
    _run(python, "-m", "build", "--outdir", str(out), str(root))
    return sorted(out.iterdir())


def faults(root: Path, package: Path, folder: Path) -> Iterator[str]:
    """What is wrong with it once it is installed into an environment of its own, without torch."""
    python = make_environment(folder)
    pins = root / "constraints.txt"
    _run(python, "-m", "pip", "install", "--quiet", "-c", str(pins), str(package))
    said = _run(python.parent / "safelora-gate", "version").strip()
    if said != f"safelora-gate {project(root)['version']}":
        yield f"it says of itself: {said}"
    code = "import json, worker.projection as w; print(json.dumps(list(w.__path__)))"
    [place] = json.loads(_run(python, "-c", code))
    if not Path(place).is_relative_to(folder.resolve()):
        yield f"it is not installed: {place}"
    if not list(Path(place).glob("native/thin.*.so")):
        yield "thin.c was not compiled: is there a C compiler?"
    with serving(python, folder) as url:
        for path in _SERVED:
            answer = httpx2.get(f"{url}{path}", trust_env=False)
            if answer.status_code != 200:
                yield f"{path} is answered {answer.status_code}"


@contextmanager
def serving(python: Path, folder: Path) -> Iterator[str]:
    """The API alone, which needs no Redis to show its pages."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [python.parent / "safelora-gate", "serve", "--port", str(port)],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "SAFELORA_STORE__PATH": str(folder / "store")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(process, f"{url}/livez")
        yield url
    finally:
        process.terminate()
        process.wait()


def make_environment(folder: Path) -> Path:
    """The Python of a fresh virtual environment."""
    _run(Path(sys.executable), "-m", "venv", str(folder))
    return folder / "bin" / "python"


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            httpx2.get(url, trust_env=False).raise_for_status()
        except httpx2.HTTPError:
            time.sleep(0.2)
        else:
            return
    raise RuntimeError("safelora-gate serve did not start")


def _run(program: Path, *arguments: str) -> str:
    """What it printed. Away from the sources, which would be imported in place of the package."""
    done = subprocess.run(
        [program, *arguments], cwd=program.parent, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{program.name} {' '.join(arguments)} failed:\n{done.stderr}")
    return done.stdout
