"""docs/settings.md: every setting, from the settings themselves. `make docs` writes it."""

import json
import sys
from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import to_json

from core.settings import PREFIX, Settings
from core.store.settings import S3Access

_API, _WORKERS, _COURIER = "the API", "the workers", "the courier"
READ_BY: dict[str, tuple[str, ...]] = {
    "store": (_API, _WORKERS, _COURIER),
    "redis": (_API, _WORKERS, _COURIER),
    "queue": (_API, _WORKERS, _COURIER),
    "limits": (_API, _WORKERS),
    "sources": (_API, _WORKERS),
    "destinations": (_API, _WORKERS),
    "alignments": (_API, _WORKERS),
    "access": (_API,),
    "tenants": (_API, _WORKERS, _COURIER),
    "hooks": (_API,),
    "worker": (_WORKERS,),
    "retention": (_API, _WORKERS, _COURIER),
    "attestation": (_WORKERS,),
    "webhooks": (_API, _COURIER),
    "scratch": (_API, _WORKERS),
    "heartbeat": (_WORKERS, _COURIER),
    "logs": (_API, _WORKERS, _COURIER),
    "metrics": (_WORKERS, _COURIER),
    "traces": (_API, _WORKERS, _COURIER),
}
"""Which processes use what a section says."""

_HEAD = """# Settings

Each part of the service takes its settings from its environment. All parts may have the same one:
each checks all of it at its start, and uses what it needs. Two underscores lead into a section;
lists and objects are JSON.

    export SAFELORA_STORE__KIND=s3 SAFELORA_STORE__S3__BUCKET=gate
    export SAFELORA_REDIS__URL=redis://redis.internal:6379/0
    export SAFELORA_ALIGNMENTS__ROOTS='["/models"]'

Passwords and keys are better kept in files: each file of the folder that `SAFELORA_SECRETS_DIR`
names is a variable of its name, `SAFELORA_REDIS__URL` for one. One of the environment itself goes
before it.

A variable that is no setting, or holds what cannot be, stops `serve`, `worker`, `courier` and `up`
at their start, with a line for each and exit code 2. No line shows a value, which may be a secret.

    $ SAFELORA_QUEUE__LEASE=1 SAFELORA_WEBHOOKS__TIMEOUT=0 safelora-gate courier ; echo $?
    error [settings_invalid]: SAFELORA_QUEUE__LEASE: Input should be greater than or equal to 3
    error [settings_invalid]: SAFELORA_WEBHOOKS__TIMEOUT: Input should be greater than 0
    2

`safelora-gate doctor` says whether what they describe is there, and as it has to be
([operations.md](operations.md)).

`safelora-gate up` itself sets the folder of the store, Redis, `access.keys`, `attestation.key`,
`alignments.cache`, `alignments.roots` and `scratch`. `SAFELORA_URL` and `SAFELORA_KEY` are no
settings of the service: commands and clients find it by them ([client.md](client.md)).
"""
_TABLE = "| setting | value | default | |\n|---|---|---|---|\n"
_BY_NAME = (
    "`{0}` is a JSON object; a field may also have a variable of its own, `{0}__<NAME>__<FIELD>`,"
    " where the name has no hyphen."
)


def settings_page() -> str:
    """The whole page, ending in a newline."""
    parts = [_HEAD]
    on_s3: list[str] = []
    for name, field in Settings.model_fields.items():
        parts += _section(name, field, on_s3)
    places = ", ".join(f"`{prefix}…`" for prefix in on_s3)
    parts.append(f"## An S3-compatible store\n\n{_prose(S3Access)} The settings are of {places}:\n")
    parts.append(_TABLE + "".join(_rows(S3Access, "…__", [])))
    return "\n".join(parts)


def _section(name: str, field: FieldInfo, on_s3: list[str]) -> Iterator[str]:
    """Under its name; `on_s3` takes the prefixes of the places on S3 that it has."""
    variable = f"{PREFIX}{name.upper()}"
    *others, last = READ_BY[name]
    read = f"Read by {', '.join(others)} and {last}.\n" if others else f"Read by {last}.\n"
    yield f"## {name}\n"
    model = _model(field)
    if model is None:
        yield read
        yield _TABLE + _row(Settings, name, variable)
    elif get_origin(field.annotation) is dict:
        yield f"{_prose(model)} {_BY_NAME.format(variable)} {read}"
        yield _TABLE + "".join(_rows(model, "", on_s3))
        yield from _examples({name: field}, PREFIX)
    else:
        yield f"{_prose(model)} {read}"
        yield _TABLE + "".join(_rows(model, f"{variable}__", on_s3))
        yield from _inner(model, f"{variable}__")
        yield from _examples(model.model_fields, f"{variable}__")


def _rows(model: type[BaseModel], prefix: str, on_s3: list[str]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        variable = f"{prefix}{name.upper()}" if prefix else name
        place = _model(field)
        if place is None or not issubclass(place, S3Access):
            yield _row(model, name, variable)
            continue
        for own in place.model_fields:
            if own not in S3Access.model_fields:
                yield _row(place, own, f"{variable}__{own.upper()}")
        on_s3.append(f"{variable}__")
        said = _one_line(field.description)
        yield f"| `{variable}__…` | [see below](#an-s3-compatible-store) | – | {said} |\n"


def _row(model: type[BaseModel], name: str, variable: str) -> str:
    schema = model.model_json_schema()
    field, form = model.model_fields[name], _form(schema["properties"][name], schema)
    value = _value(form, schema).replace("|", "\\|")
    cells = (f"`{variable}`", value, _default(field, form), _one_line(field.description))
    return f"| {' | '.join(cells)} |\n"


def _inner(model: type[BaseModel], prefix: str) -> Iterator[str]:
    """The tables of what a section's lists and objects hold, unless that is as in the section."""
    for name, field in model.model_fields.items():
        entry = _model(field)
        if entry is not None and not issubclass(entry, S3Access) and not issubclass(model, entry):
            yield f"An entry of `{prefix}{name.upper()}`. {_prose(entry)}\n"
            yield _TABLE + "".join(_rows(entry, "", []))


def _examples(fields: dict[str, FieldInfo], prefix: str) -> Iterator[str]:
    lines = [
        f"    {prefix}{name.upper()}='{json.dumps(field.examples[0])}'\n"
        for name, field in fields.items()
        if field.examples
    ]
    if lines:
        yield f"For example:\n\n{''.join(lines)}"


def _model(field: FieldInfo) -> type[BaseModel] | None:
    """What the field is, or holds one or several of, if that is settings too."""
    for kind in (field.annotation, *get_args(field.annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind if kind.model_config.get("use_attribute_docstrings") else None
    return None


def _form(schema: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    """What a value is if there is one: without null, and what the schema refers to."""
    if "anyOf" in schema:
        [form] = [kind for kind in schema["anyOf"] if kind.get("type") != "null"]
        schema = {**form, **{key: schema[key] for key in ("format",) if key in schema}}
    if "$ref" in schema:
        found: dict[str, Any] = whole["$defs"][schema["$ref"].rpartition("/")[2]]
        return found
    return schema


def _value(form: dict[str, Any], whole: dict[str, Any]) -> str:
    """In plain words."""
    secret = "**secret**: " if form.get("writeOnly") else ""
    if "format" in form:
        words = {"password": "text", "path": "a path"}.get(form["format"], form["format"])
        return f"{secret}{words}"
    if choices := form.get("enum", [form["const"]] if "const" in form else []):
        *others, last = [f"`{choice}`" for choice in choices]
        return f"{', '.join(others)} or {last}" if others else last
    match form["type"]:
        case "array":
            return f"JSON list, each {_value(_form(form['items'], whole), whole)}"
        case "object":
            return "JSON object"
        case "boolean":
            return "`true` or `false`"
        case "string":
            return f"text like `{form['pattern']}`" if "pattern" in form else "text"
    kind = "whole number" if form["type"] == "integer" else "number"
    return f"{kind}, {_bounds(form)}"


def _bounds(form: dict[str, Any]) -> str:
    least, most = form.get("minimum"), form.get("maximum")
    if least is not None:
        return f"{least} or more" if most is None else f"{least} to {most}"
    above = f"above {form['exclusiveMinimum']:g}"
    return above if most is None else f"{above}, at most {most:g}"


def _default(field: FieldInfo, form: dict[str, Any]) -> str:
    if field.is_required():
        return "needed"
    value = field.default
    if value is None:
        return f"`{form['unset']}`" if "unset" in form else "–"
    if isinstance(value, SecretStr):
        return f"`{value.get_secret_value()}`"
    shown = to_json(value).decode().strip('"')
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if isinstance(value, int) and value >= size and value % size == 0:
            return f"`{shown}` ({value // size} {unit})"
    return f"`{shown}`" if shown else "–"


def _prose(model: type[BaseModel]) -> str:
    return _one_line(model.__doc__)


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())


if __name__ == "__main__":
    sys.stdout.write(settings_page())
