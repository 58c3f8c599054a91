"""What a policy's fields ask of each other, which pydantic's own JSON schema does not say."""

from typing import Any, Final

from core.findings import RULES, STRIPPABLE

_NULL: Final = {"type": "null"}
_METHODS_OF_DIRECTIONS: Final = ["subspace", "complement"]


def _is(field: str, *values: str) -> dict[str, Any]:
    return {"required": [field], "properties": {field: {"enum": list(values)}}}


def _either(first: str, other: str) -> list[dict[str, Any]]:
    """One of two is given, and no more than one."""
    return [
        {"required": [given], "properties": {given: {"not": _NULL}, left_out: _NULL}}
        for given, left_out in ((first, other), (other, first))
    ]


_RULES: Final[list[dict[str, Any]]] = [
    {
        "if": _is("method", *_METHODS_OF_DIRECTIONS),
        "then": {"oneOf": _either("rank", "energy_share")},
        "else": {
            "properties": {"rank": _NULL, "energy_share": _NULL, "families": {"maxProperties": 0}}
        },
    },
    {
        "if": _is("method", "complement"),
        "then": {"required": ["side"], "properties": {"side": {"not": _NULL}}},
        "else": {"properties": {"side": _NULL, "strength": {"maximum": 1}}},
    },
    {
        "if": _is("scores", "spectrum"),
        "then": {
            "required": ["method", "selection"],
            "properties": {
                "method": {"not": {"const": "safe_lora"}},
                "selection": _is("mode", "all", "none"),
                "reference": {"const": False},
            },
        },
    },
]


def complete_policy(schemas: dict[str, Any]) -> None:
    """Add the rules to the document's `schemas`, so that what they let pass is a policy."""
    schemas["Policy"]["allOf"] = _RULES
    schemas["Directions"]["oneOf"] = _either("rank", "energy_share")
    schemas["Lowest"]["oneOf"] = _either("count", "share")
    codes = schemas["Extras"]["properties"]["codes"]
    codes["propertyNames"] = {"enum": sorted(c for c, r in RULES.items() if r.severity == "refuse")}
    codes["patternProperties"] = {
        f"^{code}$": {"enum": ["refuse"]}
        for code, rule in RULES.items()
        if rule.severity == "refuse" and code not in STRIPPABLE
    }
    for holder in ("Policy", "Threshold", "Relative"):
        schemas[holder]["properties"]["families"]["additionalProperties"] = False
