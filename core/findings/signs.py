"""Signs of an attack on the method itself. Thresholds and measurements: docs/suspicious.md."""

from core.findings.rule import Rule


def _sign(why: str, action: str, example: str) -> Rule:
    return Rule("signs", "suspicious", why, action, example)


SIGNS = {
    "alignment_undone": _sign(
        "The update points against V: it takes back a visible part of what alignment training"
        " added, and the cosine cannot see the sign.",
        "Look at what it was trained on; train it anew on the aligned model.",
        "undo -0.82 at rank 16",
    ),
    "energy_concentrated": _sign(
        "The update writes along V's own singular directions as no trained one does, which is how"
        " a high cosine is made whatever else the update holds.",
        "Train it anew; none of the trained adapters that were measured looks like this.",
        "purity 0.99",
    ),
    "update_unusually_large": _sign(
        "The update is far larger next to the weight than trained ones are, though below the cap.",
        "Train with a lower learning rate or alpha.",
        "update_ratio 0.62",
    ),
    "family_outlier": _sign(
        "This module is changed far more than the others of its kind: as an edit made by hand is,"
        " rather than one that was trained.",
        "Look at this module; train without it, or all of its kind alike.",
        "24 times the median of 30 v_proj",
    ),
}
