"""A page as its elements, with what they say."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = {"meta", "input", "br", "link", "img", "rect", "path"}


@dataclass(eq=False)
class Element:
    """`text` is all that is said within, whether it is seen or not."""

    tag: str
    attributes: dict[str, str]
    inside: tuple["Element", ...] = ()
    text: str = ""

    @property
    def classes(self) -> set[str]:
        return set(self.attributes.get("class", "").split())

    def is_in(self, tag: str, *classes: str) -> bool:
        return any(e.tag == tag and e.classes >= set(classes) for e in self.inside)


@dataclass
class Page(HTMLParser):
    """Every element in order. Raises `ValueError` where one is closed that is not the last open."""

    html: str
    elements: list[Element] = field(default_factory=list)
    _open: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.feed(self.html)
        self.close()
        if self._open:
            raise ValueError(f"not closed: {self._open[-1]}")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {n: v or "" for n, v in attrs}, tuple(self._open))
        self.elements.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID:
            return
        if not self._open or self._open.pop().tag != tag:
            raise ValueError(f"{tag} is closed where it is not the last that is open")

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def all(self, tag: str, *classes: str) -> list[Element]:
        return [e for e in self.elements if e.tag == tag and e.classes >= set(classes)]

    def within(self, outer: str, tag: str) -> list[Element]:
        """Elements in an element of this class."""
        return [
            e
            for e in self.all(tag)
            if any(outer in surrounding.classes for surrounding in e.inside)
        ]
