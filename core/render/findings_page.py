"""docs/findings.md: every finding code, from the rules themselves. `make docs` writes it."""

import sys

from core.findings import RULES, Group, Rule

_TITLES: dict[Group, str] = {
    "files": "Files",
    "config": "adapter_config.json",
    "tensors": "Tensors",
    "update": "The update itself",
    "signs": "Signs of an attack on the method",
    "notes": "Notes",
}
_OPENINGS: dict[Group, str] = {
    "files": "",
    "config": "",
    "tensors": "",
    "update": "Found while a module is scored, before anything is written.",
    "signs": "Severity `suspicious`. The policy's `suspicious` decides: `report` (the default)"
    " lists them, `project` has the module projected whatever its cosine, `refuse` stops the"
    " adapter. The thresholds were measured: see [suspicious.md](suspicious.md).",
    "notes": "Severity `note`: nothing is stopped or changed for them.",
}
_HEAD = """# Finding codes

What the gate can find in an adapter. A finding names its `code`, what it is about (`kind` and
`subject`: a tensor, a config field, a file or a module), a `detail`, `why` it matters and what to
do (`action`). A job shows the first of each code and their number, `report.json` and
`report.html` have all of them.

`outcome` says what came of it: `refused` stops the adapter, `stripped` was left out of what was
written, `projected` and `reported` are for suspicious signs, `noted` changes nothing. Codes are
stable; the words may get better.

A policy may leave out what is marked **can be stripped** instead of refusing it, by code or all of
it:

    {"extras": {"codes": {"bias_update": "strip"}}}
    {"extras": {"default": "strip"}}

What is left is a plain LoRA, which may not do all that was trained. Where a module cannot be judged
or a file not be understood, there is nothing to strip.
"""


def findings_page() -> str:
    """The whole page, ending in a newline."""
    parts = [_HEAD]
    for group, title in _TITLES.items():
        rules = [(code, rule) for code, rule in RULES.items() if rule.group == group]
        parts.append(f"## {title}\n")
        if _OPENINGS[group]:
            parts.append(f"{_OPENINGS[group]}\n")
        parts += [_section(code, rule) for code, rule in rules]
    return "\n".join(parts)


def _section(code: str, rule: Rule) -> str:
    stripped = " · can be stripped" if rule.strippable else ""
    return (
        f"### `{code}`\n\n{rule.severity}{stripped}. {rule.why}\n\n"
        f"- Example: `{rule.example}`\n- What to do: {rule.action}\n"
    )


if __name__ == "__main__":
    sys.stdout.write(findings_page())
