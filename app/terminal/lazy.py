"""Commands that are imported once they are run: help and completion need none of what they do."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup


class Command(NamedTuple):
    """`place`: module and name of a function, or of a `Typer`. `help` is its first line."""

    place: str
    help: str
    panel: str


class LazyGroup(TyperGroup):
    """Knows of its commands what `table` says, in its order."""

    table: ClassVar[Mapping[str, Command]] = {}

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  (of the base class)
        return list(self.table)

    def get_command(self, ctx: Any, cmd_name: str) -> TyperCommand | None:  # noqa: ARG002
        """What is listed of it; it cannot be run."""
        known = self.table.get(cmd_name)
        if known is None:
            return None
        return TyperCommand(name=cmd_name, help=known.help, rich_help_panel=known.panel)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        """The command itself, for the words of a command line."""
        name, listed, rest = super().resolve_command(ctx, args)
        return name, listed and load(self.table[str(name)]), rest


def load(command: Command) -> Any:
    """The command itself. Its help is wrapped by the terminal alone, not where its source is."""
    module, _, name = command.place.partition(":")
    found = getattr(import_module(module), name)
    if not isinstance(found, typer.Typer):
        alone = typer.Typer(add_completion=False)
        alone.command()(found)
        found = alone
    loaded: Any = typer.main.get_command(found)
    for each in (loaded, *getattr(loaded, "commands", {}).values()):
        paragraphs = (each.help or "").split("\n\n")
        each.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    return loaded
