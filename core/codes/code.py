"""One error code: when it comes, and what to do."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Code:
    """`statuses`: the HTTP statuses it is answered with, none where it is no answer of the API's.

    `when` and `do` are Markdown, each one or two whole sentences.
    """

    when: str
    do: str
    statuses: tuple[int, ...]


def code(when: str, do: str, *statuses: int) -> Code:
    return Code(when, do, statuses)
