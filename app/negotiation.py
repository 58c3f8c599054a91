"""Which form of a report a caller would rather have (RFC 9110, section 12.5.1)."""

from typing import Final, Literal

Form = Literal["json", "html", "csv"]

MEDIA_TYPES: Final[dict[Form, str]] = {
    "json": "application/json",
    "html": "text/html",
    "csv": "text/csv",
}


def preferred(accept: str) -> Form:
    """JSON unless another is wanted more, and a page unless CSV is."""
    ranges = dict(_range(text) for text in accept.lower().split(","))
    return max(MEDIA_TYPES, key=lambda form: _quality(ranges, MEDIA_TYPES[form]))


def _quality(ranges: dict[str, float], media_type: str) -> float:
    """That of the most exact range."""
    kind = f"{media_type.partition('/')[0]}/*"
    return next((ranges[text] for text in (media_type, kind, "*/*") if text in ranges), 0.0)


def _range(text: str) -> tuple[str, float]:
    name, *parameters = (part.strip() for part in text.split(";"))
    quality = next((p.removeprefix("q=") for p in parameters if p.startswith("q=")), "1")
    try:
        return name, float(quality)
    except ValueError:
        return name, 0.0
