"""The heat map in a terminal: every module once, readable with colours and without."""

import re
from collections.abc import Sequence
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.color import Color, ColorSystem
from rich.console import Console

from core.findings import finding
from core.policy import Policy
from core.render.terminal import FEW, print_heat_map, print_report, print_table
from core.render.terminal_heat import (
    ABOVE_ZERO,
    BARS,
    BELOW_ZERO,
    DIGITS,
    SEQUENTIAL,
    Measure,
    Scale,
)
from core.report import InputFacts, ModuleRow, Report, Summary, Verdict

FAMILIES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
HOSTILE = "\x1b[2J\u202e\r\n[bold red]x"


def row(name: str, **fields: Any) -> ModuleRow:
    """A module that was kept, but for what is said of it."""
    known: dict[str, Any] = {
        **dict.fromkeys(("undo", "energy", "input_energy", "purity", "confined"), 0.1),
        **dict.fromkeys(("projected", "borderline"), False),
        **dict.fromkeys(("out", "in"), 64),
        "name": name,
        "layer": next((int(word) for word in name.split(".") if word.isdigit()), None),
        "family": name.rpartition(".")[2],
        "rank": 8,
        "scaling": 2.0,
        "directions": None,
        "cosine": 0.4,
        "baseline": 0.1,
        "signed": 0.01,
        "retained": 0.3,
        "update_ratio": 0.2,
        "reason": "above_cut",
    }
    return ModuleRow.model_validate({**known, **fields})


def rows(layers: int) -> list[ModuleRow]:
    """Of each layer all families, every third module projected."""
    return [
        row(
            f"model.layers.{layer}.{family}",
            cosine=(layer * 7 + at) % 100 / 100,
            projected=(layer * 7 + at) % 3 == 0,
        )
        for layer in range(layers)
        for at, family in enumerate(FAMILIES)
    ]


def report(modules: Sequence[ModuleRow], verdict: Verdict = "projected", **fields: Any) -> Report:
    summary = Summary(modules=len(modules), projected=sum(m.projected for m in modules))
    return Report(
        verdict=verdict,
        summary=summary,
        modules=list(modules),
        alignment=None,
        policy=Policy(),
        input=InputFacts(),
        **fields,
    )


def drawn(
    modules: Sequence[ModuleRow],
    by: Measure | None = None,
    *,
    width: int = 120,
    colours: bool = False,
) -> list[str]:
    """The lines; escape sequences of the colours are in them."""
    console = Console(
        file=StringIO(),
        width=width,
        highlight=False,
        force_terminal=colours,
        color_system="truecolor" if colours else None,
    )
    print_heat_map(report(modules), console, by)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().splitlines()


def cells_of(lines: Sequence[str], family: str) -> str:
    """The strips of a family, put together from all bands."""
    bands = [ESCAPES.sub("", line) for line in lines[: lines.index("")]]
    start = 1 + max(len(name) for name in FAMILIES)
    return "".join(band[start:] for band in bands if band.startswith(f"{family} "))


@pytest.mark.parametrize("colours", [True, False])
@pytest.mark.parametrize("width", [40, 80, 126, 200])
@pytest.mark.parametrize("layers", [1, 4, 32, 126])
def test_every_module_has_its_cell(layers: int, width: int, colours: bool) -> None:
    """However the bands fold, and no line is wider than the terminal."""
    modules = rows(layers)
    lines = drawn(modules, width=width, colours=colours)
    symbols = DIGITS if colours else BARS
    for family in FAMILIES:
        cells = cells_of(lines, family)
        own = [module for module in modules if module.family == family]
        assert sum(symbol in symbols for symbol in cells) == len(own)
        assert cells.count("*") == sum(module.projected for module in own)
    assert max(cell_len(ESCAPES.sub("", line)) for line in lines) <= width


@pytest.mark.parametrize("colours", [True, False])
def test_what_was_projected_is_marked_in_its_place(colours: bool) -> None:
    """By a sign and not by a colour."""
    modules = rows(32)
    cells = cells_of(drawn(modules, colours=colours), "k_proj")
    marks = [cells[at : at + 2].endswith("*") for at in range(0, len(cells), 2)]
    assert marks == [m.projected for m in modules if m.family == "k_proj"]


def test_without_colours_nothing_but_text_is_printed() -> None:
    assert not any("\x1b" in line for line in drawn(rows(32)))


@given(
    st.floats(-1e6, 1e6),
    st.floats(-1e6, 1e6),
    st.floats(1e-6, 1e6),
    st.booleans(),
)
def test_larger_numbers_have_larger_symbols(
    one: float, other: float, top: float, coloured: bool
) -> None:
    """In bars as in digits; what is beyond the scale has its last symbol."""
    scale = Scale(top, signed=False, coloured=coloured)
    low, high = sorted((abs(one), abs(other)))
    symbols = DIGITS if coloured else BARS
    assert symbols.index(scale.text(low)) <= symbols.index(scale.text(high))
    assert scale.text(top) == symbols[-1]


@given(st.floats(0.0, 1.0))
def test_a_digit_is_the_tenth_that_the_number_lies_in(value: float) -> None:
    at = int(Scale(1.0, signed=False, coloured=True).text(value))
    assert at / 10 - 1e-9 <= value <= (at + 1) / 10 + 1e-9


def test_signs_are_written_out() -> None:
    """Below and above zero are told apart without a colour too."""
    modules = [row(f"layers.{n}.q", signed=value) for n, value in enumerate((-0.02, 0.0, 0.02))]
    assert drawn(modules, "signed")[1] == "q     -█ +▁ +█ "
    assert ESCAPES.sub("", drawn(modules, "signed", colours=True)[1]).startswith("q     -9 +0 +9")


def lightness(style: str, system: ColorSystem) -> float:
    """Of the background, as a terminal of this kind shows it."""
    colour = Color.parse(style.rpartition(" on ")[2]).downgrade(system)
    red, green, blue = (
        (part / 255 / 12.92 if part < 11 else ((part / 255 + 0.055) / 1.055) ** 2.4)
        for part in colour.get_truecolor()
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("system", [ColorSystem.TRUECOLOR, ColorSystem.EIGHT_BIT])
def test_colours_differ_in_lightness_too(system: ColorSystem) -> None:
    """Who sees no hue sees the order, in 256 colours as in all; text stands out from each."""
    shades = [lightness(style, system) for style in SEQUENTIAL]
    assert shades == sorted(shades)
    assert len(set(shades)) == len(DIGITS)
    for style in (*SEQUENTIAL, *BELOW_ZERO, *ABOVE_ZERO):
        text, ground = 1.0 if style.startswith("#fff") else 0.0, lightness(style, system)
        lighter, darker = max(text, ground), min(text, ground)
        assert (lighter + 0.05) / (darker + 0.05) > 3.9, style


def test_gaps_and_modules_without_a_number_are_explained() -> None:
    """And only where there are any."""
    modules = [
        row("layers.0.q", cosine=None, reason="zero_update"),
        row("layers.1.q"),
        row("layers.1.v"),
        row("lm_head"),
    ]
    lines = drawn(modules)
    assert lines[0].split() == ["layer", "0", "1", "-"]
    assert [line.split() for line in lines[1:4]] == [
        ["q", "-", "█", "."],
        ["v", ".", "█", "."],
        ["lm_head", ".", ".", "█"],
    ]
    assert "- has none: a zero update" in lines[6]
    assert ". not in the adapter" in lines[6]
    assert "last column: in no layer" in lines[6]
    assert drawn([row("layers.0.q")])[4] == "* projected"


def test_a_report_without_cosines_shows_what_it_has() -> None:
    lines = drawn([row("layers.0.q", cosine=None, signed=None)])
    assert "retained from 0 to 0.3" in lines[3]
    assert "- has none" in drawn([row("layers.0.q", cosine=None)], "cosine")[4]


def test_each_family_is_summed_up() -> None:
    modules = [row(f"layers.{n}.q", cosine=n / 10, projected=n < 2) for n in range(5)]
    assert drawn(modules)[-3].split() == ["q", "5", "2", "0.0000", "0.2000", "0.4000"]


@pytest.mark.parametrize("value", [0.0, 1e-308, 1e-30, 7e8, 1.7e308])
def test_numbers_of_any_size_are_drawn(value: float) -> None:
    by: list[Measure] = ["cosine", "retained", "signed", "update_ratio"]
    for measure in by:
        assert drawn([row("layers.0.q", **{measure: value})], measure)


@pytest.mark.parametrize("show", [print_heat_map, print_table])
def test_names_move_no_cursor_and_are_no_markup(show: Any) -> None:
    """Whatever a family or module is called."""
    found = finding("unknown_tensor", "tensor", HOSTILE)
    file = StringIO()
    modules = [row(f"layers.0.{HOSTILE}"), row("layers.0.q")]
    show(report(modules, findings=[found]), Console(file=file, width=100))
    assert "\x1b" not in file.getvalue()
    assert "\u202e" not in file.getvalue()
    assert "[bold red]x" in file.getvalue().replace("\n", "")


@pytest.mark.parametrize("width", [40, 60, 80, 160])
def test_names_of_modules_are_never_left_out(width: int) -> None:
    """A narrow terminal has fewer numbers, and says which are missing."""
    file = StringIO()
    modules = rows(4)
    print_table(report(modules), Console(file=file, width=width))
    lines = file.getvalue().splitlines()
    assert max(cell_len(line) for line in lines) <= width
    if width >= 60:
        assert [line.split()[0] for line in lines[1 : len(modules) + 1]] == [
            module.name for module in modules
        ]
    assert "cosine" in lines[0]
    assert ("energy" in lines[0]) == (width > 80)
    assert ("no room for" in file.getvalue()) == (width <= 80)


def test_many_modules_are_a_map_and_few_a_table() -> None:
    """With the command that prints the table of many."""
    for count, words in ((FEW, "outcome"), (FEW + 1, "to see each module: command x")):
        file = StringIO()
        modules = [row(f"layers.{n}.q") for n in range(count)]
        print_report(report(modules), Console(file=file, width=100), table_by="command x")
        assert words in file.getvalue()
        assert ("command x" in file.getvalue()) == (count > FEW)
        assert f"0 of {count} modules projected" in file.getvalue()


def test_a_rejection_has_its_findings_and_no_map() -> None:
    file = StringIO()
    rejection = report([], "rejected", findings=[finding("dora", "field", "use_dora", "true")])
    print_heat_map(rejection, Console(file=file, width=100))
    assert file.getvalue().startswith("rejected: 1 findings stop it\nrefused dora: field use_dora")
