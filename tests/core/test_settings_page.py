"""docs/settings.md is the settings that there are."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from core.render.settings_page import READ_BY, settings_page
from core.settings import Settings
from tests.test_imports import ROOT

PAGE = ROOT / "docs" / "settings.md"
PROCESSES = {
    "the API": "app.serving",
    "the workers": "worker.gpu",
    "the courier": "worker.courier",
}


def test_page_is_up_to_date() -> None:
    """docs/settings.md is what `make docs` writes."""
    assert PAGE.read_text() == settings_page()


def models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Those that settings are made of."""
    yield model
    for field in model.model_fields.values():
        for kind in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from models(kind)


def test_every_setting_says_what_it_is() -> None:
    """Of each section, and of each field in it, the page has what the code says."""
    text = PAGE.read_text()
    ours = {m for m in models(Settings) if m.model_config.get("use_attribute_docstrings")}
    assert len(ours) > 15
    for model in ours - {Settings}:
        assert model.__doc__
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"
            assert " ".join(field.description.split()) in text, f"{model.__name__}.{name}"


def modules(name: str) -> dict[str, ast.Module]:
    """The module and all of ours that it imports, wherever in it."""
    found: dict[str, ast.Module] = {}
    waiting = [name]
    while waiting:
        module = waiting.pop()
        if module in found or (path := path_of(module)) is None:
            continue
        found[module] = ast.parse(path.read_text())
        for node in ast.walk(found[module]):
            if isinstance(node, ast.Import):
                waiting += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                waiting += [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
    return found


def path_of(module: str) -> Path | None:
    place = ROOT / module.replace(".", "/")
    paths = (place.with_suffix(".py"), place / "__init__.py")
    return next((path for path in paths if path.exists()), None)


def sections_used(trees: Iterator[ast.Module]) -> set[str]:
    """`settings.<section>`, whatever holds the settings; tenants are also asked for by `tenant`."""
    found = set()
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                holder = node.value
                name = getattr(holder, "id", getattr(holder, "attr", ""))
                if name in ("settings", "_settings"):
                    found.add("tenants" if node.attr == "tenant" else node.attr)
    return found & set(Settings.model_fields)


@pytest.mark.parametrize("process", PROCESSES)
def test_who_reads_a_section_is_who_uses_it(process: str) -> None:
    """As the code of each process, with all that it imports, has it."""
    used = sections_used(iter(modules(PROCESSES[process]).values()))
    assert {name for name, readers in READ_BY.items() if process in readers} == used
