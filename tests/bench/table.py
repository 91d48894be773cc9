"""Turns the rounds of a bench into ratios, and the ratios into docs/benchmarks.md."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from tests.bench.load import Run

Rounds = Mapping[str, Sequence[Run]]
"""Variant -> its runs, one of each round; round n of every variant ran side by side."""


@dataclass(frozen=True, slots=True)
class Row:
    """The medians of one variant over all rounds; `ratio` is the median of the per-round ratios."""

    variant: str
    rps: float
    ratio: float
    p50: float
    p99: float
    cpu_us: float
    errors: int


def rows(rounds: Rounds, baseline: str) -> list[Row]:
    base = rounds[baseline]
    return [
        Row(
            variant=variant,
            rps=median(run.rps for run in runs),
            ratio=median(run.rps / against.rps for run, against in zip(runs, base, strict=True)),
            p50=median(run.p50 for run in runs),
            p99=median(run.p99 for run in runs),
            cpu_us=median(run.cpu_us for run in runs),
            errors=sum(run.errors for run in runs),
        )
        for variant, runs in rounds.items()
    ]


def cpu_ratio(rounds: Rounds, dividend: str, divisor: str) -> float:
    """Median over the rounds of CPU per request, one variant over another."""
    return median(a.cpu_us / b.cpu_us for a, b in zip(rounds[dividend], rounds[divisor], strict=True))


def markdown(table: Sequence[Row]) -> str:
    lines = [
        "| variant | req/s | × raw ASGI | p50 ms | p99 ms | CPU µs/request | errors |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {r.variant} | {r.rps:,.0f} | {r.ratio:.3f} | {r.p50:.1f} | {r.p99:.1f} | {r.cpu_us:.0f} | {r.errors} |"
        for r in table
    ]
    return "\n".join(lines)


def machine() -> str:
    """What the figures were measured on, in one line."""
    models = [
        line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")
    ]
    name = models[0] if models else platform.processor() or "unknown processor"
    system = next(
        (
            line.partition("=")[2].strip('"')
            for line in _lines("/etc/os-release")
            if line.startswith("PRETTY_NAME")
        ),
        platform.system(),
    )
    return f"{len(models) or 1} cores ({name}), {system}, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d}"


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
