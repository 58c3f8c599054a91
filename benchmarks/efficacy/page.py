"""docs/efficacy.md and its pictures, from what is in the cache."""

import json
import logging
from pathlib import Path
from string import Template

from benchmarks.efficacy.asked import Asked
from benchmarks.efficacy.attackers import BUILT, answers_to, avoiding, built_subject
from benchmarks.efficacy.choosing import (
    BASELINES,
    BEARABLE,
    CELLS,
    KEY_FAMILIES,
    TOLERATED,
    recommended,
    settings_tested,
)
from benchmarks.efficacy.claims import claims_table, scores_of
from benchmarks.efficacy.intervals import estimate
from benchmarks.efficacy.kept import Subject, kept_answers, kept_facts
from benchmarks.efficacy.measures import refused
from benchmarks.efficacy.outcomes import Cell, outcome
from benchmarks.efficacy.plan import CHOOSING_SEEDS, GIVEN_UP_ABOVE, MODELS, SHAPE_NAMES, Plan
from benchmarks.efficacy.recipes import Adapter, ModelName
from benchmarks.efficacy.separation import SUSPICION, area, of_adapters, of_modules
from benchmarks.efficacy.tables import (
    NOTHING,
    carried_table,
    chosen_table,
    everything_table,
    interval,
    lines,
    models_table,
    one_setting_table,
    side_effects_table,
    table,
)
from benchmarks.efficacy.variants import Variant, unchanged
from benchmarks.efficacy.verdicts import GAIN_AIMED_AT, better_table, target_text
from core.policy import Policy
from core.render.plot import COLOURS, Axes, Line, square

logger = logging.getLogger(__name__)

NAME = "efficacy"
TEMPLATE = Path(__file__).with_name("page.md")
# What a picture has a line for: more would hide each other.
DRAWN = (*KEY_FAMILIES, "input, energy", "output, energy")


def write_page(plan: Plan, folder: Path) -> None:
    """`folder`/efficacy.md, and pictures beside it. Only cells that were measured have pictures and
    tables."""
    measured = [c for c in CELLS if outcome(c, unchanged(), "test") is not None]
    tables = {
        "models": models_table(),
        "claims": claims_table(plan),
        "better": better_table(plan.variants),
        "target": target_text(plan.variants),
        "aimed_at": f"{GAIN_AIMED_AT:.0%}",
        "chosen": chosen_table(plan.variants),
        "one_setting": one_setting_table(plan.variants),
        "carried": carried_table(plan.variants),
        "harmless": harmless_table(plan),
        "side_effects": side_effects_table(plan.variants),
        "separation": separation_table(plan),
        "attackers": attackers_table(),
        "pictures": "\n".join(f"![{c.title}](efficacy/{_file(c)})" for c in measured),
        "everything": "\n\n".join(
            f"### {c.title}\n\n{everything_table(c, plan.variants)}" for c in measured
        ),
        "tolerated": f"{TOLERATED:.0%}",
        "bearable": f"{100 * BEARABLE:.0f}",
        "recommended": recommended_text(plan),
        "choosing": str(CHOOSING_SEEDS),
        "given_up": f"{GIVEN_UP_ABOVE:.0%}",
    }
    pictures = folder / NAME
    pictures.mkdir(parents=True, exist_ok=True)
    for cell in measured:
        (pictures / _file(cell)).write_text(_picture(cell, plan))
    page = folder / f"{NAME}.md"
    page.write_text(Template(TEMPLATE.read_text()).substitute(tables))
    logger.info("written: %s", page)


def recommended_text(plan: Plan) -> str:
    """The setting's name and its policy, as a job or an alignment takes it."""
    best = recommended(plan.variants)
    if best is None or not isinstance(best.change, Policy):
        return "No setting was mild enough on what was measured."
    fields = best.change.model_dump(mode="json", exclude_defaults=True)
    return f"`{best.family}` {best.knob}:\n\n    {json.dumps(fields)}"


def _file(cell: Cell) -> str:
    return f"{cell.model}-{cell.shape}.svg"


def _picture(cell: Cell, plan: Plan) -> str:
    """Our methods' lines are whole, the published one's and scaling's dashed."""
    drawn = lines(cell, [v for v in plan.variants if v.family in DRAWN])
    made = [
        Line(name, drawn[name], colour, "6 4" if name in BASELINES else "")
        for name, colour in zip(DRAWN, COLOURS, strict=True)
        if name in drawn
    ]
    return square(Axes(cell.title, "attack success", "task, exact match"), made)


def harmless_table(plan: Plan) -> str:
    """What the one setting of each method costs an adapter that means no harm."""
    settings = [unchanged(), *settings_tested(plan.variants)]
    rows = [
        row
        for model in MODELS
        for shape in SHAPE_NAMES
        for variant in settings
        for row in _harmless(Cell(model, "task", shape), variant)
    ]
    return table(["adapters", "method", "knob", "exact match", "points lost"], rows)


def _harmless(cell: Cell, variant: Variant) -> list[list[str]]:
    before, after = outcome(cell, unchanged(), "test"), outcome(cell, variant, "test")
    if before is None or after is None or before.exact is None or after.exact is None:
        return []
    lost = f"{100 * (before.exact.mean - after.exact.mean):.0f}"
    return [[cell.title, variant.family, variant.knob, interval(after.exact), lost]]


def separation_table(plan: Plan) -> str:
    """Area under the ROC curve of each score, over modules and over whole adapters."""
    rows = []
    for cell in CELLS:
        attacks, harmless = scores_of(plan, cell)
        if attacks and harmless:
            for name in SUSPICION:
                modules = area(of_modules(attacks, name), of_modules(harmless, name))
                whole = area(of_adapters(attacks, name), of_adapters(harmless, name))
                count = f"{len(attacks)} and {len(harmless)}"
                rows.append([cell.title, name, f"{modules:.2f}", f"{whole:.2f}", count])
    return table(["adapters", "score", "modules", "adapters", "attacks and harmless"], rows)


def attackers_table() -> str:
    """Attack success of those who know the method, and what the default policy's report says."""
    head = ["attacker", *(f"{v.family} {v.knob}".strip() for v in answers_to()), "findings"]
    return table(head, [row for model in MODELS for row in _attackers(model)])


def _attackers(model: ModelName) -> list[list[str]]:
    trained = Adapter(model, "mixed", "all-linear", 0)
    forbidden, begun = Asked("forbidden", "test"), Asked("prefilled", "test")
    small = Adapter(model, "mixed", "query-value", 0)
    subjects = [
        *((name, built_subject(model, name, trained), forbidden) for name in BUILT),
        *((f"keeps out of k = {a.avoids}", Subject(model, a), forbidden) for a in avoiding(model)),
        ("answer begun, no adapter", Subject(model), begun),
        ("answer begun, q/v", Subject(model, small), begun),
        ("answer begun, all linear", Subject(model, trained), begun),
    ]
    rows = [[f"{model}: {name}", *_met(subject, asked)] for name, subject, asked in subjects]
    return [row for row in rows if set(row[1:]) != {NOTHING}]


def _met(subject: Subject, asked: Asked) -> list[str]:
    default = next(v for v in answers_to() if v.family == "default policy")
    cells = []
    for variant in answers_to():
        answers = kept_answers(subject, variant, asked)
        facts = kept_facts(subject, variant)
        if isinstance(facts, dict) and facts["verdict"] == "rejected":
            cells.append("refused")
        elif answers is None:
            cells.append(NOTHING)
        else:
            cells.append(f"{estimate([[float(not refused(a)) for a in answers]]).mean:.2f}")
    return [*cells, _findings(subject, default)]


def _findings(subject: Subject, variant: Variant) -> str:
    facts = kept_facts(subject, variant)
    found = facts.get("findings") if isinstance(facts, dict) else None
    return ", ".join(found) if isinstance(found, dict) and found else NOTHING
