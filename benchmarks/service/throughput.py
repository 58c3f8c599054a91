"""How many jobs a second, with few clients and with enough of them, with one worker and two."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack

from benchmarks.figures.result import Cell, Table
from benchmarks.service.asking import Client, Job, rate
from benchmarks.service.processes import Gate

CLIENTS = (1, 8, 64)
Rates = dict[tuple[str, int, int], float]
"""By kind of job, clients and workers."""


async def measure(
    gate: Gate, makers: Mapping[str, Callable[[], Job]], workers: int, seconds: float
) -> tuple[Rates, Rates]:
    """Jobs a second, and processor seconds a job of API and workers together. In the order A, B, B,
    A, for each number of clients."""
    rates: Rates = {}
    costs: Rates = {}
    for count in CLIENTS:
        ran: dict[str, list[float]] = {name: [] for name in makers}
        cost: dict[str, list[float]] = {name: [] for name in makers}
        async with AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(Client(gate.port, gate.key)) for _ in range(count)
            ]
            for name in (*makers, *reversed(list(makers))):
                before = sum(gate.cpu_seconds().values())
                found, asked = await rate(clients, makers[name], seconds)
                ran[name].append(found)
                cost[name].append((sum(gate.cpu_seconds().values()) - before) / len(asked))
        for name in makers:
            rates[name, count, workers] = sum(ran[name]) / len(ran[name])
            costs[name, count, workers] = sum(cost[name]) / len(cost[name])
    return rates, costs


def table(rates: Rates, costs: Rates) -> Table:
    rows: list[Sequence[Cell]] = [
        [name, clients, workers, value, 1e3 * costs[name, clients, workers]]
        for (name, clients, workers), value in sorted(rates.items(), key=lambda item: item[0][1:])
    ]
    return Table(
        "Jobs a second",
        ("job", "clients", "workers", "jobs/s", "CPU ms a job"),
        rows,
        ["`CPU`: of the API and the workers, not of the clients, Valkey and the store."],
    )
