"""The tables of docs/observing.md: every metric, from its declaration. `make docs` writes them."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from core.observing import api, errands, process, work
from core.observing.family import Family, Spread

SECTIONS: Final[dict[str, Sequence[Family]]] = {
    "Every process": process.FAMILIES,
    "The API": api.FAMILIES,
    "A worker": work.FAMILIES,
    "The courier": errands.FAMILIES,
}
BEGIN: Final = "<!-- metrics: written by make docs -->\n"
END: Final = "<!-- metrics: end -->\n"


def completed(page: str) -> str:
    """The page with its tables written anew. Raises `ValueError` if they have no place in it."""
    before, _, rest = page.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError("the page does not say where the tables of metrics are to be")
    return f"{before}{BEGIN}\n{_tables()}\n{END}{after}"


def _tables() -> str:
    return "\n".join(f"### {title}\n\n{_table(found)}" for title, found in SECTIONS.items())


def _table(families: Sequence[Family]) -> str:
    rows = ["| metric | kind | labels | what it says |", "|---|---|---|---|"]
    rows += [
        f"| `{family.name}` | {family.kind} | {', '.join(family.labels) or '–'} |"
        f" {family.words}{_bounds(family)} |"
        for family in families
    ]
    return "\n".join(rows) + "\n"


def _bounds(family: Family) -> str:
    if not isinstance(family, Spread):
        return ""
    return f" (up to {', '.join(f'{bound:g}' for bound in family.bounds)})"


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.write_text(completed(place.read_text()))
