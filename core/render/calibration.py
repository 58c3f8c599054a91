"""A calibration in a terminal, and its trade-off curve as a picture."""

from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from core.calibration.choice import Candidate, Verdict
from core.calibration.record import CalibratedAdapter, Calibration
from core.findings import printable
from core.render.plot import COLOURS, Axes, Line, Mark, square

MOST_ROWS = 15
FEW_ADAPTERS = 5  # of a kind: fewer say little of the next one

_GREY: Final = "#666666"
_VERDICTS: Final[dict[Verdict, str]] = {
    "recommended": "it takes more from hostile adapters than from benign ones, from those too that"
    " had no part in the choice: it reduces risk, and shows no adapter to be harmless",
    "no_setting": "no setting takes anything out of the hostile adapters while every benign one"
    " keeps {keep:.1%} of its update's norm",
    "scaling": "this setting takes about as much from benign adapters as from hostile ones: the"
    " {sees} does not tell them apart here",
    "not_checked": "with one adapter of a kind none can be left out of the choice, so nothing shows"
    " what this setting does to others: give two of each kind or more",
    "not_held_out": "on adapters left out of the choice this setting does no better than scaling:"
    " it fits these adapters, and not their kind",
}


def print_calibration(calibration: Calibration, console: Console) -> None:
    """The adapters, a selection of the settings, and what to think of the one proposed."""
    console.print(_adapters(calibration))
    console.print()
    console.print(_candidates(calibration))
    console.print()
    for line in calibration_lines(calibration):
        console.print(line, markup=False, soft_wrap=True)


def calibration_lines(calibration: Calibration) -> list[str]:
    """What was found, a sentence a line."""
    return [
        *_separation(calibration),
        *_proposed(calibration),
        *_held_out(calibration),
        *_few(calibration),
        verdict_line(calibration),
    ]


def verdict_line(calibration: Calibration) -> str:
    sees = "cosine" if calibration.method == "safe_lora" else "method"
    said = _VERDICTS[calibration.verdict].format(keep=calibration.keep, sees=sees)
    return f"{'recommended' if calibration.recommended else 'not recommended'}: {said}"


def calibration_svg(calibration: Calibration) -> bytes:
    """The curve: what is lost of benign updates, and taken out of hostile ones."""
    best = max((c.value for c in calibration.candidates), default=0)
    mean = [(0.0, 0.0), *((c.benign_lost, c.hostile_taken) for c in calibration.candidates)]
    worst = [
        (0.0, 0.0),
        *((c.benign_lost_most, c.hostile_taken_least) for c in calibration.candidates),
    ]
    lines = [
        Line("scaling every update", [(0.0, 0.0), (1.0, 1.0)], _GREY, "3 4"),
        Line("worst adapter of each kind", worst, COLOURS[1], "8 4"),
        Line(f"mean, {calibration.by} 0 to {best:g}", mean, COLOURS[0]),
    ]
    counts = (
        f"{calibration.count('hostile')} hostile, {calibration.count('benign')} benign adapters"
    )
    axes = Axes(
        f"{calibration.alignment.name:.30}: {calibration.method} by {calibration.by}, {counts}",
        "lost of benign updates (squared norm)",
        "taken out of hostile updates (squared norm)",
    )
    return square(axes, lines, _marks(calibration)).encode()


def _marks(calibration: Calibration) -> list[Mark]:
    if calibration.proposal is None:
        return []
    chosen = calibration.proposal.candidate
    words = [
        f"proposed: {calibration.by} {chosen.value:g}",
        f"takes {chosen.hostile_taken:.1%}, costs {chosen.benign_lost:.1%}",
        "recommended" if calibration.recommended else "not recommended",
    ]
    return [Mark((chosen.benign_lost, chosen.hostile_taken), words)]


def _separation(calibration: Calibration) -> list[str]:
    if calibration.area is None:
        return []
    return [
        f"area under the ROC curve of the cosine: {calibration.area:.3f}, the chance that a module"
        " of a hostile adapter scores below one of a benign adapter (0.5 is a coin's)"
    ]


def _proposed(calibration: Calibration) -> list[str]:
    if calibration.proposal is None:
        return []
    chosen = calibration.proposal.candidate
    return [
        f"proposed: {calibration.by} {chosen.value:g}, which takes"
        f" {chosen.hostile_taken:.1%} of the hostile updates' squared norm (at least"
        f" {chosen.hostile_taken_least:.1%}) and {chosen.benign_lost:.1%} of the benign ones' (at"
        f" most {chosen.benign_lost_most:.1%}; every one keeps {chosen.benign_kept_least:.1%} of"
        " its norm)"
    ]


def _held_out(calibration: Calibration) -> list[str]:
    held = calibration.held_out
    if held is None:
        return []
    return [
        f"chosen without the adapter it is tried on, each in turn: {held.hostile_taken:.1%} taken"
        f" out of hostile ones, {held.benign_lost:.1%} lost of benign ones, the worst of which"
        f" keeps {held.benign_kept_least:.1%} of its norm"
    ]


def _few(calibration: Calibration) -> list[str]:
    hostile, benign = calibration.count("hostile"), calibration.count("benign")
    if min(hostile, benign) >= FEW_ADAPTERS:
        return []
    return [f"few adapters: {hostile} hostile and {benign} benign say little of the next one"]


def _adapters(calibration: Calibration) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("adapter", overflow="fold")
    table.add_column("kind")
    table.add_column("modules", justify="right")
    table.add_column("taken out", justify="right")
    for adapter in calibration.adapters:
        table.add_row(
            escape(printable(adapter.name)), adapter.kind, str(adapter.modules), _taken(adapter)
        )
    return table


def _taken(adapter: CalibratedAdapter) -> str:
    return "-" if adapter.taken is None else f"{adapter.taken:.1%}"


def _candidates(calibration: Calibration) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    headers = ("hostile taken", "least", "benign lost", "most", "norm kept, least")
    for name in (calibration.by, *headers, ""):
        table.add_column(name, justify="left" if not name else "right", no_wrap=True)
    chosen = calibration.proposal.candidate if calibration.proposal else None
    for candidate in _shown(calibration.candidates, chosen):
        table.add_row(
            f"{candidate.value:g}",
            f"{candidate.hostile_taken:.1%}",
            f"{candidate.hostile_taken_least:.1%}",
            f"{candidate.benign_lost:.1%}",
            f"{candidate.benign_lost_most:.1%}",
            f"{candidate.benign_kept_least:.1%}",
            "proposed" if candidate == chosen else "",
            style="cyan" if candidate == chosen else None,
        )
    return table


def _shown(candidates: list[Candidate], chosen: Candidate | None) -> list[Candidate]:
    """Some of them, evenly over the curve, and the one proposed."""
    step = max(1, -(-len(candidates) // MOST_ROWS))
    last = len(candidates) - 1
    return [c for i, c in enumerate(candidates) if i % step == 0 or i == last or c == chosen]
