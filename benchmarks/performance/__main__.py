"""`python -m benchmarks.performance`: write docs/performance.md and its pictures anew."""

from pathlib import Path

from benchmarks.performance.page import PICTURES, made

DOCS = Path("docs")


def main() -> None:
    for picture in (DOCS / PICTURES).glob("*.svg"):
        picture.unlink()
    for name, text in made(DOCS).items():
        (DOCS / name).write_text(text)


if __name__ == "__main__":
    main()
