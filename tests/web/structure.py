"""A page of HTML as a browser takes it apart."""

from dataclasses import dataclass
from html.parser import HTMLParser


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    text: str = ""


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        if self.found:
            self.found[-1].text += data


def elements(html: str) -> list[Element]:
    """In the order of their start tags, each with the text up to the next one."""
    parser = _Parser()
    parser.feed(html)
    parser.close()
    return parser.found


def shape(html: str) -> list[tuple[str, tuple[str, ...]]]:
    """Tags and the names of their attributes: what no text may change."""
    return [(element.tag, tuple(element.attributes)) for element in elements(html)]


def words(html: str) -> str:
    """Everything that is there to be read, with single spaces."""
    return " ".join(" ".join(element.text for element in elements(html)).split())


def of_id(html: str, name: str) -> Element | None:
    return next((e for e in elements(html) if e.attributes.get("id") == name), None)
