"""The page and its pictures as text, from the results in one folder."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from string import Template

from benchmarks.figures.bars import Bars
from benchmarks.figures.result import Cell, Ratio, Result, Table, as_markdown, shown
from benchmarks.gpu.shapes import LLAMA_2_7B, LLAMA_3_8B, LLAMA_3_70B
from benchmarks.performance.pictures import (
    PROMISED,
    bars_of,
    file_name,
    pictures,
    promised_bars,
)
from benchmarks.performance.sections import SECTIONS, Section

PAGE = "performance.md"
PICTURES = "performance"
CHANGES = f"{PICTURES}/changes.md"
TEMPLATE = Path(__file__).with_name("page.md")

Results = Mapping[str, Result]
Machine = Mapping[str, str]


def made(docs: Path) -> dict[str, str]:
    """The text of each file by its path within the folder `docs`, from what lies there."""
    kept = {section.name: docs / PICTURES / f"{section.name}.json" for section in SECTIONS}
    results = {name: Result.load(path) for name, path in kept.items() if path.is_file()}
    machines = _machines(results.values())
    drawn = {f"{PICTURES}/{name}": text for name, text in pictures(results)}
    sections = [_section(section, results.get(section.name), machines) for section in SECTIONS]
    changes = docs / CHANGES
    if changes.is_file():
        sections.append(
            "## What each change brought\n\n"
            f"Written by hand, in [{changes.name}]({CHANGES}).\n\n{changes.read_text().strip()}"
        )
    page = Template(TEMPLATE.read_text()).substitute(
        promises=_promises(results),
        bytes=as_markdown(bytes_table()),
        sections="\n\n".join(sections),
        machines=_machines_table(machines),
    )
    return {PAGE: page, **drawn}


def bytes_table() -> Table:
    """Of V, for adapters of whole models."""
    rows: list[list[Cell]] = []
    for model in (LLAMA_2_7B, LLAMA_3_8B, LLAMA_3_70B):
        query, _, value, *_ = model.block
        few = model.layers * sum(out * in_ for out, in_ in (query, value))
        for which, count, weights in (
            ("query and value", 2 * model.layers, few),
            ("all linear", len(model.modules), model.weights),
        ):
            rows.append([model.name, which, count, 2 * weights / 1e9, 4 * weights / 1e9])
    return Table(
        "", ("model", "adapted modules", "how many", "V in 16 bits, GB", "read twice, GB"), rows
    )


def _section(section: Section, result: Result | None, machines: Sequence[Machine]) -> str:
    head = f"## {section.title}\n\n{section.about}"
    if result is None:
        return f"{head}\n\nNot measured yet."
    number = machines.index(result.machine) + 1
    parts = [
        head,
        f"Run on {result.date} on machine {number}: `python -m {section.command}`.",
        _held(result.ratios),
    ]
    for table in result.tables:
        parts.append(f"### {table.title}\n\n{as_markdown(table)}")
        if table.drawn:
            parts.append(_shown(bars_of(table), file_name(section.name, table)))
    return "\n\n".join(part for part in parts if part)


def _promises(results: Results) -> str:
    """All figures that were promised, and a picture of how well they hold."""
    every = [ratio for result in results.values() for ratio in result.ratios]
    if not every:
        return "No figure that was promised is measured yet."
    kept = sum(ratio.holds for ratio in every)
    text = f"Of {len(every)} figures that were promised, {kept} hold."
    return f"{text}\n\n{_shown(promised_bars(every), PROMISED)}"


def _held(ratios: Sequence[Ratio]) -> str:
    if not ratios:
        return ""
    rows = [
        [
            ratio.name,
            shown(ratio.value),
            f"{'≥' if ratio.kind == 'at_least' else '≤'} {shown(ratio.bound)}",
            "holds" if ratio.holds else "**does not hold**",
        ]
        for ratio in ratios
    ]
    return as_markdown(Table("", ("promised", "measured", "bound", ""), rows))


def _machines(results: Iterable[Result]) -> list[Machine]:
    """Each once, in the order of the page."""
    found: list[Machine] = []
    for result in results:
        if result.machine not in found:
            found.append(result.machine)
    return found


def _machines_table(machines: Sequence[Machine]) -> str:
    facts = list(dict.fromkeys(fact for machine in machines for fact in machine))
    rows = [[fact, *(machine.get(fact, "-") for machine in machines)] for fact in facts]
    columns = ["", *(f"machine {number}" for number in range(1, len(machines) + 1))]
    return as_markdown(Table("", columns, rows)) if machines else "None yet."


def _shown(bars: Bars, name: str) -> str:
    """With the same in words for those who do not see it."""
    return f"![{bars.title}: bars of what the table has]({PICTURES}/{name})"
