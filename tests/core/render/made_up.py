"""Reports of adapters of any size, with plausible numbers."""

from random import Random
from statistics import median
from typing import Any

from core.canonical import sha256_hex
from core.findings import Finding, finding
from core.policy import Policy
from core.report import (
    AlignmentFacts,
    FileFacts,
    InputFacts,
    ModuleRow,
    OutputFacts,
    Report,
    Summary,
    Verdict,
)
from core.selection import Score, select

FAMILIES = {
    "mlp.down_proj": (4096, 14336),
    "mlp.gate_proj": (14336, 4096),
    "mlp.up_proj": (14336, 4096),
    "self_attn.k_proj": (1024, 4096),
    "self_attn.o_proj": (4096, 4096),
    "self_attn.q_proj": (4096, 4096),
    "self_attn.v_proj": (1024, 4096),
}


def row(name: str = "model.layers.0.self_attn.q_proj", **fields: Any) -> ModuleRow:
    """A module that was kept, but for what is said of it."""
    layer = next((int(word) for word in name.split(".") if word.isdigit()), None)
    return ModuleRow.model_validate(
        {
            "name": name,
            "layer": layer,
            "family": name.rpartition(".")[2],
            "rank": 16,
            "scaling": 2.0,
            "out": 4096,
            "in": 4096,
            "cosine": 0.41,
            "baseline": 0.14,
            "signed": 0.01,
            "undo": 0.02,
            "energy": 0.5,
            "input_energy": 0.5,
            "directions": None,
            "purity": 0.3,
            "confined": 0.6,
            "retained": 0.06,
            "update_ratio": 0.05,
            "projected": False,
            "borderline": False,
            "reason": "above_cut",
            **fields,
        }
    )


def rows(layers: int, policy: Policy | None = None) -> list[ModuleRow]:
    """All kinds of modules in every layer, judged by the policy."""
    policy, random = policy or Policy(), Random(0)
    made = []
    for layer in range(layers):
        for family, (out, into) in FAMILIES.items():
            cosine = min(0.97, random.betavariate(6, 11) + 0.0008 * layer)
            made.append(
                row(
                    f"model.layers.{layer}.{family}",
                    **{"out": out, "in": into},
                    cosine=cosine if policy.loads_v else None,
                    baseline=random.uniform(0.09, 0.24),
                    signed=random.gauss(0.0, 0.02) if policy.loads_v else None,
                    undo=random.gauss(0.0, 0.05) if policy.loads_v else None,
                    energy=random.betavariate(4, 4),
                    retained=random.uniform(0.01, 0.09),
                    update_ratio=random.lognormvariate(-3.2, 0.4),
                )
            )
    return judged(made, policy)


def judged(made: list[ModuleRow], policy: Policy) -> list[ModuleRow]:
    """With the outcome that the policy gives to each."""
    scores = [Score(m.name, m.cosine, m.baseline) for m in made]
    choices = select(scores, policy.selection, reference=policy.reference)
    return [
        m.model_copy(
            update={
                "projected": choices[m.name].projected,
                "borderline": choices[m.name].borderline,
                "reason": choices[m.name].reason,
            }
        )
        for m in made
    ]


def report(
    modules: list[ModuleRow] | None = None,
    policy: Policy | None = None,
    *,
    verdict: Verdict = "projected",
    findings: list[Finding] | None = None,
) -> Report:
    """Of these modules, with a summary that fits them."""
    modules = modules or []
    cosines = sorted(m.cosine for m in modules if m.cosine is not None)
    return Report(
        verdict=verdict,
        summary=Summary(
            modules=len(modules),
            projected=sum(m.projected for m in modules),
            borderline=sum(m.borderline for m in modules),
            retained=(0.66 if any(m.projected for m in modules) else 1.0) if modules else None,
            cosine_min=cosines[0] if cosines else None,
            cosine_median=median(cosines) if cosines else None,
            cosine_max=cosines[-1] if cosines else None,
        ),
        modules=modules,
        findings=findings or [],
        alignment=AlignmentFacts(
            id="3f2a9c51d07be8846a1c90f7e2b3d4c5a6978811",
            name="llama-3-8b",
            rank=64,
            storage_loss=0.0012,
        ),
        policy=policy or Policy(),
        input=InputFacts(files=[facts(name) for name in FILES], base_model_name_or_path="meta/l"),
        output=OutputFacts(files=[facts(name) for name in FILES], verified=len(modules))
        if verdict in ("projected", "unchanged")
        else None,
    )


FILES = ("adapter_config.json", "adapter_model.safetensors")


def facts(name: str) -> FileFacts:
    return FileFacts(name=name, size=len(name) * 1000, sha256=sha256_hex(name.encode()))


def of_layers(layers: int, policy: Policy | None = None, verdict: Verdict = "projected") -> Report:
    """A whole adapter."""
    policy = policy or Policy()
    return report(rows(layers, policy), policy, verdict=verdict)


def rejected(findings: int = 3) -> Report:
    """An adapter with this many extra tensors, and a field that does not belong there."""
    found = [finding("unknown_tensor", "tensor", f"base_model.x{n}") for n in range(findings - 1)]
    return report(
        verdict="rejected", findings=[*found, finding("dora", "field", "use_dora", "true")]
    )
