"""What the demo cannot tell; it comes before all that it shows."""

import textwrap
from typing import Final

LIMITS: Final = (
    "One small model (SmolLM2-135M-Instruct), whose own alignment is not looked at.",
    "One refused topic, invented and harmless, which the aligned model was trained to refuse right"
    " before: it differs from its base in little else, which is far friendlier than a real pair.",
    "One adapter, of the kind that the policy serves best: the study (docs/efficacy.md) has more"
    " models and adapters, of which those of q and v alone lose far more of their task.",
    "A refusal is told by keywords. Nothing here measures harm.",
    "Sanitizing reduces risk. It proves nothing about what is left, and whoever knows the policy"
    " can train around it.",
)


def limits_text(width: int) -> str:
    """A list, in lines of at most `width` characters."""
    return "\n".join(textwrap.fill(f"- {one}", width, subsequent_indent="  ") for one in LIMITS)
