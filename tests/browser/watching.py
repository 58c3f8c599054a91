"""What goes wrong on a page without anybody seeing it."""

from pathlib import Path
from typing import Any, Final

import axe_playwright_python
from playwright.sync_api import ConsoleMessage, Page

_AXE: Final = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
_GRAVE: Final = ("serious", "critical")


class Watched:
    """The console of a tab: errors, refusals of the Content-Security-Policy among them."""

    def __init__(self) -> None:
        self._seen: list[str] = []
        self._expected: list[str] = []

    def watch(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("pageerror", lambda error: self._seen.append(str(error)))

    def expect(self, words: str) -> None:
        """An error with these words in it is what the test is about."""
        self._expected.append(words)

    def unexpected(self) -> list[str]:
        return [seen for seen in self._seen if not any(words in seen for words in self._expected)]

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._seen.append(message.text)


def barriers(page: Page) -> list[str]:
    """What axe-core finds that keeps people out: serious or worse, each with where it is."""
    page.evaluate(_AXE)
    found: dict[str, Any] = page.evaluate("axe.run()")
    return [
        f"{violation['id']} ({violation['impact']}): {node['target']} {node['html'][:120]}"
        for violation in found["violations"]
        if violation["impact"] in _GRAVE
        for node in violation["nodes"]
    ]
