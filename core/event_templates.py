"""Text with fields of an event's body in braces: `s3://ft-outputs/{data.id}/`.

What a sender puts into a field can never lead out of the text around it: a value is one plain
segment, `{+field}` several with slashes between. A template that is one field alone takes a whole
URI from it, which is then checked like any other that a caller names.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from core.errors import Unprocessable

FIELD_PATTERN: Final = r"^[A-Za-z0-9_-]{1,64}(\.[A-Za-z0-9_-]{1,64}){0,15}$"
MAX_TEXT: Final = 1024

_SLOT = re.compile(r"\{(\+?)([^{}]*)\}")
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@=+-]{0,199}")
_MISSING: Final = object()


@dataclass(frozen=True)
class Slot:
    """A field to be filled in; `several`: its value may hold slashes."""

    field: str
    several: bool


@dataclass(frozen=True)
class Template:
    """Fixed texts and slots, in turn."""

    parts: tuple[str | Slot, ...]  # one at least

    @property
    def fixed(self) -> str:
        """What every text made of it begins with."""
        return self.parts[0] if isinstance(self.parts[0], str) else ""

    @property
    def slots(self) -> tuple[Slot, ...]:
        return tuple(part for part in self.parts if isinstance(part, Slot))

    @property
    def is_whole_field(self) -> bool:
        """`{data.uri}`, or `{data.uri}/` where a folder is meant, whether or not the value says."""
        return isinstance(self.parts[0], Slot) and self.parts[1:] in ((), ("/",))

    def sample(self) -> str:
        """With a plain value in each slot, to see what kind of text it makes."""
        return "".join(part if isinstance(part, str) else "x" for part in self.parts)

    def uri(self, body: Any) -> str:
        """Raises `Unprocessable` (`hook_field_missing`, `hook_value_invalid`)."""
        if self.is_whole_field:
            text = _text_of(body, self.slots[0])
            return text if len(self.parts) == 1 else text.removesuffix("/") + "/"
        return "".join(part if isinstance(part, str) else _plain(body, part) for part in self.parts)

    def text(self, body: Any) -> str:
        """For human eyes: any text or number may stand in a slot. Raises as `uri` does."""
        made = "".join(part if isinstance(part, str) else _label(body, part) for part in self.parts)
        if len(made) > MAX_TEXT:
            raise _invalid(self.slots[0].field, f"is longer than {MAX_TEXT} characters")
        return made


def parse_template(text: str) -> Template:
    """Raises `ValueError` for a brace that stands alone and for what is no name of a field."""
    parts: list[str | Slot] = []
    end = 0
    for match in _SLOT.finditer(text):
        parts += [text[end : match.start()]] if match.start() > end else []
        if not re.fullmatch(FIELD_PATTERN, match[2]):
            raise ValueError("between braces stands the name of a field, as in {data.id}")
        parts.append(Slot(match[2], several=bool(match[1])))
        end = match.end()
    parts += [text[end:]] if end < len(text) else []
    if any("{" in part or "}" in part for part in parts if isinstance(part, str)):
        raise ValueError("a brace stands alone: name a field as in {data.id}")
    return Template(tuple(parts) or ("",))


def field_of(body: Any, field: str) -> Any:
    """The value at a dotted field, into lists too (`updatedRefs.0.ref`); where there is none, an
    object that is equal to nothing."""
    value = body
    for name in field.split("."):
        if isinstance(value, Mapping):
            value = value.get(name, _MISSING)
        elif isinstance(value, list) and re.fullmatch(r"[0-9]{1,4}", name):
            value = value[int(name)] if int(name) < len(value) else _MISSING
        else:
            return _MISSING
    return value


def holds(body: Any, field: str, wanted: str | float | bool | None) -> bool:
    """Whether the field is there and equal, its type too: `true` is not 1."""
    found = field_of(body, field)
    return type(found) is type(wanted) and bool(found == wanted)


def _plain(body: Any, slot: Slot) -> str:
    value = _label(body, slot)
    segments = value.split("/") if slot.several else [value]
    if not all(_PLAIN.fullmatch(segment) for segment in segments):
        raise _invalid(
            slot.field,
            "is not plain: letters, digits and . _ @ = + - only, a letter or digit first"
            + (", with single slashes between" if slot.several else ""),
        )
    return value


def _label(body: Any, slot: Slot) -> str:
    value = field_of(body, slot.field)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _text_of(body, slot)


def _text_of(body: Any, slot: Slot) -> str:
    value = field_of(body, slot.field)
    if value is _MISSING:
        raise Unprocessable(
            f"the event has no field {slot.field}: correct the rule, or what it lets through",
            code="hook_field_missing",
            field=slot.field,
        )
    if not isinstance(value, str):
        raise _invalid(slot.field, "is no text")
    return value


def _invalid(field: str, why: str) -> Unprocessable:
    return Unprocessable(
        f"the event's field {field} {why}: it cannot be used",
        code="hook_value_invalid",
        field=field,
    )
