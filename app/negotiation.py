"""Which of two forms of a report a caller would rather have (RFC 9110, section 12.5.1)."""


def prefers_html(accept: str) -> bool:
    """JSON unless HTML is wanted more."""
    ranges = dict(_range(text) for text in accept.lower().split(","))
    html = _quality(ranges, "text/html", "text/*")
    return html > _quality(ranges, "application/json", "application/*")


def _quality(ranges: dict[str, float], exact: str, kind: str) -> float:
    """That of the most exact range."""
    return next((ranges[text] for text in (exact, kind, "*/*") if text in ranges), 0.0)


def _range(text: str) -> tuple[str, float]:
    name, *parameters = (part.strip() for part in text.split(";"))
    quality = next((p.removeprefix("q=") for p in parameters if p.startswith("q=")), "1")
    try:
        return name, float(quality)
    except ValueError:
        return name, 0.0
