"""The modules of a report for spreadsheets and data frames."""

import csv
import json
from io import StringIO

from hypothesis import given
from hypothesis import strategies as st

from core.canonical import Json
from core.render.csv import COLUMNS, modules_csv
from core.report import Report
from tests.core.render.made_up import of_layers, row

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def read(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(data.decode(), newline=""), strict=True))


def stored(made: Report) -> list[dict[str, Json]]:
    modules: list[dict[str, Json]] = json.loads(made.as_bytes())["modules"]
    return modules


def test_columns_are_the_fields_of_the_json() -> None:
    """By its names, and every number is the JSON's own."""
    modules = stored(of_layers(3))
    found = read(modules_csv(modules))
    assert {frozenset(line) for line in found} == {frozenset(module) for module in modules}
    for line, module in zip(found, modules, strict=True):
        for name, value in module.items():
            text = line[name]
            assert (text if isinstance(value, str) else json.loads(text or "null")) == value


@given(st.lists(TEXT, min_size=1))
def test_any_name_comes_back(names: list[str]) -> None:
    """Whatever is in it, but for the apostrophe before one that would be a formula."""
    found = read(modules_csv([{"name": name} for name in names]))
    for name, line in zip(names, found, strict=True):
        assert line["name"].removeprefix("'") == name.removeprefix("'")
        assert not line["name"].startswith(("=", "+", "-", "@", "\t", "\r"))


def test_lines_end_as_rfc_4180_has_them() -> None:
    data = modules_csv([{"name": "q"}, {"name": "k"}])
    assert data.count(b"\r\n") == data.count(b"\n") == 3


def test_negative_numbers_stay_numbers() -> None:
    """The apostrophe is for text alone."""
    made = row(signed=-0.0123).model_dump(mode="json", by_alias=True)
    assert read(modules_csv([made]))[0]["signed"] == "-0.0123"


def test_a_row_of_before_has_what_it_has() -> None:
    """Reports of an older engine know fewer fields."""
    [line] = read(modules_csv([{"name": "q", "cosine": 0.5}]))
    assert (line["cosine"], line["input_energy"]) == ("0.5", "")
    assert list(line) == list(COLUMNS)
