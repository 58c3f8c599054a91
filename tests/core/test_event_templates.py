"""Templates: what an event says can never lead out of the text around it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Unprocessable
from core.event_templates import field_of, holds, parse_template
from core.s3_places import parse_s3

HOSTILE = st.sampled_from(
    [
        "..",
        ".",
        "",
        "a/../b",
        "%2e%2e",
        "a%2fb",
        "/",
        "a//b",
        "\x00",
        "é",
        "s3://x/",
        "a\\b",
        "-",
        " ",
    ]
)
VALUE = st.one_of(
    HOSTILE,
    st.text(max_size=30),
    st.text("ab./_-%{}+", max_size=12),
    st.integers(),
    st.floats(),
    st.none(),
    st.booleans(),
    st.lists(st.text(max_size=3), max_size=2),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abc01"), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(first=VALUE, second=VALUE)
def test_no_value_leads_out_of_its_place(first: Any, second: Any) -> None:
    """One segment stays one, several stay plain, and what stands before them stands."""
    template = parse_template("s3://outputs/ft/{a.first}/x-{+b}/")
    try:
        made = template.uri({"a": {"first": first}, "b": second})
    except Unprocessable as error:
        assert error.code == "hook_value_invalid"
        return
    uri = parse_s3(made)
    assert uri is not None
    assert (uri.bucket, uri.key.split("/")[:2]) == ("outputs", ["ft", str(first)])
    assert made == f"s3://outputs/ft/{first}/x-{second}/"
    assert not {"..", ".", ""} & set(uri.key.removesuffix("/").split("/"))


@given(JSON)
def test_whatever_the_body_holds_only_plain_texts_are_taken(body: Any) -> None:
    """Of any shape: never another error than the two that name the field."""
    for text in ("s3://outputs/{a.b}/", "s3://outputs/{+a}/{b.0.c}/", "{c}"):
        try:
            made = parse_template(text).uri(body)
        except Unprocessable as error:
            assert error.code in ("hook_field_missing", "hook_value_invalid")
            assert error.details["field"] in text
        else:
            assert made.startswith("s3://outputs/") or made == field_of(body, "c")


def test_values_are_put_where_they_belong() -> None:
    """Numbers as they are written, fields with hyphens, lists by their place."""
    body = {"data": {"id": "ft-1", "n": 7}, "detail-type": "x", "refs": [{"ref": "main"}]}
    assert parse_template("s3://b/{data.id}-{data.n}/").uri(body) == "s3://b/ft-1-7/"
    assert parse_template("s3://b/{detail-type}/{refs.0.ref}/").uri(body) == "s3://b/x/main/"
    assert parse_template("{data.id}").uri(body) == "ft-1"
    assert parse_template("{uri}/").uri({"uri": "s3://b/a"}) == "s3://b/a/"
    assert parse_template("{uri}/").uri({"uri": "s3://b/a/"}) == "s3://b/a/"
    assert parse_template("s3://b/{+data.id}/").uri({"data": {"id": "org/model"}}) == (
        "s3://b/org/model/"
    )


def test_labels_may_be_any_text() -> None:
    """They lead nowhere; only their length is bounded."""
    template = parse_template("run {name}")
    assert template.text({"name": "Ünser ../ run"}) == "run Ünser ../ run"
    with pytest.raises(Unprocessable, match="longer than"):
        template.text({"name": "x" * 1024})


@pytest.mark.parametrize(
    "text", ["{", "}", "a{b", "{}", "{a b}", "{a..b}", "{a.}", "{{a}}", "{++a}", "{a/b}", "{é}"]
)
def test_broken_templates_are_refused(text: str) -> None:
    """At the start, not when the first event comes."""
    with pytest.raises(ValueError, match="field"):
        parse_template(text)


@pytest.mark.parametrize(
    ("wanted", "found", "same"),
    [
        (True, True, True),
        (True, 1, False),
        (1, True, False),
        (1, 1.0, False),
        ("1", 1, False),
        (None, None, True),
        ("a", "a", True),
        ("a", ["a"], False),
    ],
)
def test_conditions_are_exact(wanted: Any, found: Any, same: bool) -> None:
    """Of value and type; a field that is not there equals nothing."""
    assert holds({"x": {"y": found}}, "x.y", wanted) is same
    assert not holds({"x": {}}, "x.y", wanted)
    assert not holds({"x": found}, "x.y", wanted)
