"""`python -m benchmarks.scaling.page`: write docs/scaling.md from what was measured."""

from pathlib import Path
from string import Template

from benchmarks.figures.result import FOLDER, Result, as_markdown

PAGE = Path("docs/scaling.md")
_TEMPLATE = Path(__file__).with_name("page.md")


def made(measured: Path) -> str:
    """The whole page, from the JSON of one run."""
    result = Result.load(measured)
    machine = ", ".join(f"{name} {value}" for name, value in result.machine.items())
    tables = [f"### {table.title}\n\n{as_markdown(table)}" for table in result.tables]
    return Template(_TEMPLATE.read_text()).substitute(
        run=f"Run on {result.date} ({machine}).", tables="\n\n".join(tables)
    )


if __name__ == "__main__":
    PAGE.write_text(made(FOLDER / "scaling.json"))
