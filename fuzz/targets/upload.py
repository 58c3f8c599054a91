"""The whole check of an upload folder, and the reading of its tensors, under either policy."""

import torch

from core.errors import AdapterRejected
from core.findings import refusals
from core.policy import Policy
from fuzz.guard import Target
from fuzz.parcel import Parcel
from fuzz.targets import Place
from worker.adapter import AdapterFiles, examine, load_adapter
from worker.alignment.make import Recipe
from worker.alignment.pair import Pair
from worker.alignment.source import AlignmentSource, PairAlignment


def make(place: Place) -> Target:
    refuse, strip = Policy(), Policy.model_validate({"extras": {"default": "strip"}})
    folder = place.scratch / "upload"
    folder.mkdir()
    pair = Pair(place.pair / "base", place.pair / "aligned")  # open for as long as the process is
    alignment = PairAlignment(pair, Recipe("float32", 64), torch.device("cpu"))

    def accepts(data: bytes) -> bool:
        parcel = Parcel.of(data)
        parcel.write(folder)
        files = AdapterFiles(folder, parcel.other_names)
        return _accepts(files, alignment, strip if parcel.strips else refuse)

    return accepts


def _accepts(files: AdapterFiles, alignment: AlignmentSource, policy: Policy) -> bool:
    try:
        adapter = load_adapter(examine(files, alignment, policy, ()))
    except AdapterRejected as rejected:
        if not refusals(rejected.findings):
            raise AssertionError("rejected, and no finding says why") from rejected
        return False
    if not adapter.modules or refusals(adapter.findings):
        raise AssertionError("accepted without a module, or with a refusal")
    return True
