"""What the demo cannot tell; it comes before all that it shows."""

import textwrap
from typing import Final

LIMITS: Final = (
    "One small model (SmolLM2-135M-Instruct), whose own alignment is not looked at.",
    "One refused topic, invented and harmless, which the aligned model was trained to refuse right"
    " before: it differs from its base in little else, which is far friendlier than a real pair.",
    "One adapter of one kind. In the study (docs/efficacy.md), which has more models and adapters,"
    " more is left of some attacks, and more is lost of the task.",
    "A refusal is told by keywords. Nothing here measures harm.",
    "Sanitizing reduces risk. It proves nothing about what is left, and whoever knows the policy"
    " can train around it.",
)


def limits_text(width: int) -> str:
    """A list, in lines of at most `width` characters."""
    return "\n".join(textwrap.fill(f"- {one}", width, subsequent_indent="  ") for one in LIMITS)
