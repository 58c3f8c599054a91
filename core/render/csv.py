"""The modules of a report as CSV (RFC 4180), for spreadsheets and data frames."""

import csv
import json
from collections.abc import Iterable, Mapping
from io import StringIO
from typing import Final

from core.canonical import Json
from core.report import ModuleRow

COLUMNS: Final = tuple(
    field.serialization_alias or name for name, field in ModuleRow.model_fields.items()
)
_FORMULA: Final = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n")


def modules_csv(rows: Iterable[Mapping[str, Json]]) -> bytes:
    """A line a row of report.json's `modules`, under a line of its fields' names; what a row has
    not, or has as null, is empty.

    Text that a spreadsheet would take for a formula begins with an apostrophe.
    """
    text = StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows([_cell(row.get(column)) for column in COLUMNS] for row in rows)
    return text.getvalue().encode()


def _cell(value: Json) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    return json.dumps(value)
