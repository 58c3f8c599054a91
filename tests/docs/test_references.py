"""What the documentation refers to is there: files, headings, settings, commands."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from pydantic import BaseModel

from core.settings import NOT_SETTINGS, PREFIX, Settings
from tests.docs.page import read, variables
from tests.docs.running import ROOT

PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in (
        *sorted(ROOT.glob("*.md")),
        *sorted((ROOT / "docs").glob("**/*.md")),
    )
}
_LINK = re.compile(r"\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.M)
_BLOCK = re.compile(r"^```.*?^```$|^    [^\n]*$", re.M | re.S)


def links(text: str) -> list[str]:
    return [link for link in _LINK.findall(_BLOCK.sub("", text)) if "://" not in link]


def anchors(text: str) -> set[str]:
    """Of the headings, as GitHub makes them."""
    found: set[str] = set()
    for heading in _HEADING.findall(re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        count = 0
        while (name := f"{anchor}-{count}" if count else anchor) in found:
            count += 1
        found.add(name)
    return found


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    """To a file of the repository, and there to a heading."""
    for link in links(PAGES[name]):
        place, _, anchor = link.partition("#")
        path = (ROOT / name).parent / unquote(place) if place else ROOT / name
        assert path.exists(), f"{name}: {link}"
        if anchor:
            assert anchor in anchors(path.read_text()), f"{name}: {link}"


def test_every_page_is_linked() -> None:
    """From the README, or from a page that is."""
    reached, waiting = set[str](), ["README.md"]
    while waiting:
        name = waiting.pop()
        if name in reached or name not in PAGES:
            continue
        reached.add(name)
        folder = (ROOT / name).parent
        targets = [(folder / link.partition("#")[0]).resolve() for link in links(PAGES[name])]
        waiting += [str(t.relative_to(ROOT)) for t in targets if t.is_relative_to(ROOT)]
    assert set(PAGES) - reached == {"CHANGELOG.md"}


def settings_of(model: type[BaseModel], prefix: str) -> set[str]:
    """The variables that there are, of sections too."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        variable = f"{prefix}{name.upper()}"
        found.add(variable)
        for kind in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                found |= settings_of(kind, f"{variable}__")
    return found


@pytest.mark.parametrize("name", PAGES)
def test_settings_are_there(name: str) -> None:
    """Each SAFELORA_… that is named. One that ends in __ or … stands for all that begin so."""
    known = settings_of(Settings, PREFIX) | NOT_SETTINGS
    for variable, more in re.findall(rf"\b({PREFIX}[A-Z0-9_]+)(…?)", PAGES[name]):
        section = variable.partition("__")[0]
        if more or variable.endswith("__"):
            assert any(setting.startswith(variable) for setting in known), variable
        elif section == "SAFELORA_HOOKS":  # a source of the operator's, then fields of its rule
            assert variable.count("__") in (0, 1, 2), variable
        else:
            assert variable in known, variable


def shown_settings() -> list[Any]:
    shown = [
        pytest.param(text, id=f"{name}:{text[:40]}")
        for name in PAGES
        for text in read(ROOT / name).shown
        if re.match(rf"(export )?{PREFIX}", text) and "…" not in text
    ]
    return [
        *shown,
        *(pytest.param(p.settings, id=n) for n in PAGES if (p := read(ROOT / n)).settings),
    ]


@pytest.mark.parametrize("shown", shown_settings())
def test_settings_are_taken(shown: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A block of settings can be copied: the service starts with it."""
    monkeypatch.delenv("SAFELORA_KEY", raising=False)
    for variable, value in (variables(shown) if isinstance(shown, str) else shown).items():
        monkeypatch.setenv(variable, value)
    Settings()


@pytest.mark.parametrize("name", PAGES)
def test_commands_are_there(name: str) -> None:
    """Each make target, and each module of `python -m`, that is named."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    for target in re.findall(r"(?:`|^    )make ([a-z-]+)", PAGES[name], re.M):
        assert target in targets, target
    ours = r"python -m ((?:app|benchmarks|core|demo|fuzz|chaos|tests|worker)[\w.]*)"
    for module in re.findall(ours, PAGES[name]):
        assert find_spec(module.rstrip(".")), module


def test_no_page_promises_what_it_cannot() -> None:
    """Risk is reduced; nothing is made safe."""
    for name, text in PAGES.items():
        assert not re.search(r"\b(makes?|made|keeps?|is|are) (\w+ )?safe\b(?! LoRA)", text), name


def test_a_reference_that_leads_nowhere_is_told(tmp_path: Path) -> None:
    """The checks see what they are for."""
    text = "# A `b` (c)\n\n## A `b` (c)\n\n[x](y.md#z) [w](http://a)\n\n    [no](link)\n\n[v](#z)\n"
    assert links(text) == ["y.md#z", "#z"]
    assert anchors(text) == {"a-b-c", "a-b-c-1"}
    (tmp_path / "page.md").write_text("    curl localhost\n")
    with pytest.raises(ValueError, match="without a prompt"):
        read(tmp_path / "page.md")
