"""Imports point one way: app → core ← worker; the API never loads torch."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FORBIDDEN = {
    "core": {"app", "worker", "safelora", "fastapi", "starlette", "torch"},
    "app": {"worker", "torch"},
    "worker": {"app", "safelora", "fastapi", "starlette"},
    "safelora": {"app", "core", "worker", "fastapi", "starlette", "torch", "boto3", "redis", "rq"},
}


def imported(path: Path) -> Iterator[str]:
    """The top-level name of every module that the file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively"
            yield (node.module or "").partition(".")[0]


@pytest.mark.parametrize("package", FORBIDDEN)
def test_package_keeps_to_its_side(package: str) -> None:
    """No file reaches for what its side of the house does without."""
    reached = {
        (path.relative_to(ROOT).as_posix(), name)
        for path in (ROOT / package).rglob("*.py")
        for name in imported(path)
        if name in FORBIDDEN[package]
    }
    assert reached == set()


def test_courier_never_loads_torch() -> None:
    """It runs beside every worker, and in far less memory."""
    code = (
        "import sys, worker.__main__, worker.courier;"
        "assert not {'torch', 'numpy', 'safetensors'} & set(sys.modules), sys.modules.keys()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_api_process_never_loads_torch() -> None:
    """Nor boto3, which a local store need not pay for, nor anything of the worker's."""
    code = (
        "import sys, app.main; from core.settings import Settings; app.main.create_app(Settings());"
        "loaded = {name.partition('.')[0] for name in sys.modules};"
        "assert not loaded & {'torch', 'worker', 'boto3', 'numpy', 'safetensors'}, loaded"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_client_installs_light() -> None:
    """Beside the standard library it loads what it sends with and what it reads answers with."""
    code = (
        "import sys, safelora; loaded = {name.partition('.')[0] for name in sys.modules};"
        "assert not loaded & {'app', 'core', 'worker', 'fastapi', 'starlette', 'torch', 'boto3',"
        "'redis', 'rq', 'numpy', 'typer', 'jinja2', 'pydantic_settings'}, loaded"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
