"""The four signs: from which value on a module or an adapter is called suspicious.

Each lies at least 1.6 times away from the extreme of all benign adapters measured here, which is
also what they were chosen on.
"""

import math
from collections.abc import Callable, Mapping

from benchmarks.suspicion.signs import AdapterSigns, ModuleSigns
from worker.suspicion import (
    ADAPTER_FACTOR,
    CONFINED,
    FAMILY_FACTOR,
    FAMILY_FROM,
    PURITY,
    PURITY_FROM_OUT,
    STEP_ALL,
    UNDO,
    UNDO_ALL,
    UPDATE_RATIO,
)


def undone(signs: ModuleSigns) -> bool:
    return signs.undo < UNDO


def undone_in_all(adapter: AdapterSigns) -> bool:
    """Over all modules, where noise that hides it in each of them averages out."""
    return adapter.undo_all < UNDO_ALL and adapter.step_all < STEP_ALL


def concentrated(signs: ModuleSigns) -> bool:
    pure = signs.purity > PURITY and signs.out_features >= PURITY_FROM_OUT
    return pure or signs.confined > CONFINED


def large(signs: ModuleSigns) -> bool:
    return signs.update_ratio > UPDATE_RATIO


def outlier(signs: ModuleSigns) -> bool:
    if signs.family_size >= FAMILY_FROM:
        return signs.weight_log2 > math.log2(FAMILY_FACTOR)
    return signs.adapter_log2 > math.log2(ADAPTER_FACTOR)


MODULE_SIGNS: Mapping[str, Callable[[ModuleSigns], bool]] = {
    "alignment_undone": undone,
    "energy_concentrated": concentrated,
    "update_unusually_large": large,
    "family_outlier": outlier,
}


def module_share(adapter: AdapterSigns, sign: str) -> float:
    """The share of the adapter's modules that show the sign."""
    return sum(map(MODULE_SIGNS[sign], adapter.modules)) / len(adapter.modules)


def shows(adapter: AdapterSigns, sign: str) -> bool:
    """True if any module shows the sign, or the adapter as a whole does."""
    if sign == "alignment_undone" and undone_in_all(adapter):
        return True
    return module_share(adapter, sign) > 0.0
