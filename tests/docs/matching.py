"""Whether what came out is what the page shows, but for what differs from run to run.

`…` stands for anything. Space is only space. Job ids, digests, times, the ids of events and keys
stand for others of their kind: the same one each time it is shown again. Long fractions, which
differ in their last digits from one machine to another, are compared to three digits.
"""

import math
import re
from dataclasses import dataclass, field

_CLOSE = 1e-3
_KINDS = {
    "key": r"slg_[A-Za-z0-9_-]+…?",
    "secret": r"whsec_[A-Za-z0-9+/]+=*",
    "message": r"\bmsg_[0-9a-f]{32}\b",
    "time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z",
    "event": r"\d{13}-\d+",
    "digest": r"\b(?:[0-9a-f]{64}|[0-9a-f]{40}|[0-9a-f]{32})\b",
    "key_id": r"\b[0-9a-f]{12}\b",
    "job": r"\b[0-9a-hjkmnp-tv-z]{26}\b",
    "number": r"-?\d+\.\d{6,}(?:e-?\d+)?",
}
_ANY_NUMBER = r"-?\d+(?:\.\d+)?(?:e-?\d+)?"
_TOKEN = re.compile(
    "|".join([*(f"(?P<{kind}>{form})" for kind, form in _KINDS.items()), r"(?P<any>…)", r"\s+"])
)


def _close(text: str) -> str:
    """Without the space around punctuation, of which some JSON has more."""
    return re.sub(r"\s*([{}\[\],:])\s*", r"\1", text.strip())


@dataclass
class Known:
    """What the values on the page are in this run."""

    values: dict[str, str] = field(default_factory=dict)

    def real(self, text: str) -> str:
        """The text with this run's values. Raises `ValueError` for an id that was not shown yet."""

        def value(found: re.Match[str]) -> str:
            if found["job"] is None:
                return self.values.get(found[0], found[0])
            if found[0] not in self.values:
                raise ValueError(f"no output before shows the job {found[0]}")
            return self.values[found[0]]

        return _TOKEN.sub(value, text)

    def learn(self, shown: str, came: str) -> bool:
        """Whether what came fits what is shown; then the values that are new are kept."""
        pattern, tokens = self._pattern(_close(shown))
        found = re.fullmatch(pattern, _close(came), re.DOTALL)
        if found is None:
            return False
        pairs = [(kind, text, found[f"t{n}"]) for n, (kind, text) in enumerate(tokens)]
        new = dict(self.values)
        for kind, text, real in pairs:
            if kind == "number":
                if not math.isclose(float(text), float(real), rel_tol=_CLOSE):
                    return False
            elif new.setdefault(text, real) != real and kind != "time":
                return False
        self.values = new
        return True

    def _pattern(self, shown: str) -> tuple[str, list[tuple[str, str]]]:
        tokens: list[tuple[str, str]] = []
        parts: list[str] = []
        at = 0
        for found in _TOKEN.finditer(shown):
            parts.append(re.escape(shown[at : found.start()]))
            at = found.end()
            kind = found.lastgroup
            if kind is None:
                parts.append(r"\s*")
            elif kind == "any":
                parts.append(".*?")
            else:
                form = _ANY_NUMBER if kind == "number" else _KINDS[kind]
                parts.append(f"(?P<t{len(tokens)}>{form})")
                tokens.append((kind, found[0]))
        return "".join([*parts, re.escape(shown[at:])]), tokens
