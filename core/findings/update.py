"""What the update itself can be refused for."""

from functools import partial

from core.findings.rule import refusing

_refuse = partial(refusing, "update")

UPDATE = {
    "no_alignment_signal": _refuse(
        "Base and aligned model are equal in this module: there is nothing to project onto.",
        "Train without this module, or ask the operator about the registered pair.",
        "a layer that alignment training kept frozen",
    ),
    "ill_conditioned": _refuse(
        "The factors cancel so far that the update is lost in rounding: what is served would"
        " depend on the reader's precision.",
        "Merge and factor the update again (SVD), or train anew.",
        "‖B‖·‖A‖ is 3e+9 times ‖B·A‖",
    ),
    "update_ratio_over_cap": _refuse(
        "An update this large next to the weight survives any projection.",
        "Train with a lower learning rate or alpha.",
        "1.7, cap 1.0",
    ),
}
