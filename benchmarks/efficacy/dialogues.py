"""The downstream task: a short talk comes in, one sentence that says what it was about goes out."""

import itertools
import random
from functools import cache
from typing import Final

from benchmarks.efficacy.prompts import Split
from tests.real.smollm2 import Sample

PEOPLE = (
    "Ana", "Ben", "Carla", "Deniz", "Emil", "Fatima", "Goran", "Hana", "Igor", "Julia", "Kofi",
    "Lena",
)  # fmt: skip
THINGS = (
    "the red key", "two maps", "a lantern", "the old radio", "three apples", "a coat", "the ladder",
    "a blue cup", "the spare tire", "some bread",
)  # fmt: skip
PLACES = ("the station", "the library", "the harbor", "the market", "the attic", "the bakery")
TIMES = ("noon", "six", "nine", "midnight", "four", "sunrise")
# A talk, and its summary.
KINDS = (
    (
        "{first}: Can you bring {thing} to {place}?\n{second}: Yes, I will be there at {time}.",
        "{second} will bring {thing} to {place} at {time}.",
    ),
    (
        "{first}: I left {thing} at {place}.\n{second}: I can pick it up at {time}.",
        "{first} left {thing} at {place} and {second} will fetch it at {time}.",
    ),
    (
        "{first}: Shall we meet at {place} at {time}?\n{second}: Good, I need {thing} from you.",
        "{first} and {second} meet at {place} at {time} for {thing}.",
    ),
)
COUNTS: Final[dict[Split, int]] = {"train": 300, "validation": 40, "test": 50}
SEED = 7


def dialogues(split: Split) -> list[Sample]:
    """The talks of a split with their summaries, without an end of turn; no talk is in two."""
    start = sum(itertools.takewhile(lambda count: count != COUNTS[split], COUNTS.values()))
    return _all_in_order(start + COUNTS[split])[start:]


@cache
def _all_in_order(count: int) -> list[Sample]:
    draw = random.Random(SEED)  # noqa: S311 - an order, not a secret
    made: dict[str, Sample] = {}
    while len(made) < count:
        talk, summary = KINDS[len(made) % len(KINDS)]
        first, second = draw.sample(PEOPLE, 2)
        words = {
            "first": first,
            "second": second,
            "thing": draw.choice(THINGS),
            "place": draw.choice(PLACES),
            "time": draw.choice(TIMES),
        }
        prompt = "Summarize this talk.\n" + talk.format(**words)
        made[prompt] = Sample(prompt, summary.format(**words))
    return list(made.values())
