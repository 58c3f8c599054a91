"""Which benchmarks there are, in the order of the page."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """`name` is that of the benchmark's result; `command` makes it."""

    name: str
    title: str
    about: str
    command: str


SECTIONS = (
    Section(
        "kernel",
        "One module: two thin products",
        "`C·B = V·(Vᵀ·B)/‖V‖` of one module, next to reading V as often and to the method as"
        " published, which forms C = V·Vᵀ/‖V‖ and both updates in full.",
        "benchmarks.kernel",
    ),
    Section(
        "adapter",
        "A whole adapter: the engine alone",
        "All that the worker does to an adapter, without the service around it: check, read,"
        " align, score, project, write, verify, report.",
        "benchmarks.adapter",
    ),
    Section(
        "passes",
        "Several adapters in one pass",
        "Jobs that wait for the alignment that one is at work with are judged beside it: V is read"
        " and hashed once for all of them.",
        "benchmarks.passes",
    ),
    Section(
        "service",
        "A job: the service around the engine",
        "From POST to the end of the job, next to a job that does nothing, sent through the same"
        " API and the same queue.",
        "benchmarks.service",
    ),
    Section(
        "memory",
        "Memory over many jobs",
        "What the processes of the service hold after job upon job.",
        "benchmarks.service",
    ),
    Section(
        "gpu",
        "On a GPU",
        "The same mathematics with V warm in the card's memory, next to that memory's own speed.",
        "benchmarks.gpu",
    ),
    Section(
        "gpu-rehearsal",
        "What a GPU is asked",
        "Counted without one: how often the host must launch and wait, and what the bytes and that"
        " would come to. No time in this section is measured.",
        "benchmarks.gpu --device cpu",
    ),
)
