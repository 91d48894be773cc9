"""Budgets: what a run, and a tenant in a day, may take of models. Pure; `adapters/purse.py` keeps the books.

A step is allowed while what is spent, together with what other steps are taking this moment, lies below the
limit. So a day's budget is overshot by one step at most, however many runs there are at once. What is counted:

- tokens and money, as the model's server tells them;
- steps: answers that a model was asked for, each as one, however often it had to be asked and whether or not it came.
  That is what `HOLMESGPT_MAX_STEPS` counts, and is known beforehand, so that a day has exactly as many as it may. An
  answer that was recorded before a kill and is used again is none;
- seconds: how long a run has a place at the model. They begin with the leave for its first step and end with the run;
  tools, pauses between attempts and waiting for a person's word count, since nobody else has the place meanwhile.
  What comes before (waiting in line, starting a process) does not: a run that is refused its first step takes none.
  A step may last until its run's end, so that much is kept back for it, and nothing is counted beyond that end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from services.holmesgpt_api.domain.errors import HolmesError

RUN_TOKENS, RUN_COST = "budget-run-tokens", "budget-run-cost"
RUN_STEPS, RUN_SECONDS = "budget-run-steps", "budget-run-seconds"
TENANT_TOKENS, TENANT_COST = "budget-tenant-tokens", "budget-tenant-cost"
TENANT_STEPS, TENANT_SECONDS = "budget-tenant-steps", "budget-tenant-seconds"
BUDGETS = (
    *(RUN_TOKENS, RUN_COST, RUN_STEPS, RUN_SECONDS),
    *(TENANT_TOKENS, TENANT_COST, TENANT_STEPS, TENANT_SECONDS),
)


@dataclass(frozen=True, slots=True)
class Amount:
    tokens: int = 0
    cost_usd: float = 0.0
    steps: int = 0
    seconds: float = 0.0

    def __add__(self, other: Amount) -> Amount:
        return Amount(
            self.tokens + other.tokens,
            self.cost_usd + other.cost_usd,
            self.steps + other.steps,
            self.seconds + other.seconds,
        )

    def __bool__(self) -> bool:
        return self.tokens > 0 or self.cost_usd > 0 or self.steps > 0 or self.seconds > 0


@dataclass(frozen=True, slots=True)
class Limits:
    """`tenants`: those whose day has limits of its own."""

    run: Limit
    day: Limit
    tenants: Mapping[str, Limit] = field(default_factory=dict)

    def of(self, tenant: str) -> Limit:
        return self.tenants.get(tenant, self.day)


@dataclass(frozen=True, slots=True)
class Limit:
    """None: no limit."""

    tokens: int | None = None
    cost_usd: float | None = None
    steps: int | None = None
    seconds: float | None = None
    """A run's is kept by the clock (`adapters/running.py`): it is ended in the midst of a step."""


UNLIMITED = Limits(Limit(), Limit())


class Spent(HolmesError):
    """A budget is spent. `word` is the verdict's `degraded_reason`."""

    def __init__(self, word: str, detail: str) -> None:
        super().__init__(f"{word}: {detail}")
        self.word, self.detail = word, detail


class Purse(Protocol):
    """The books. Everything raises `StorageUnavailable` when the database does not serve."""

    async def reserve(
        self, run: str, tenant: str, step: Amount, *, used: Amount, limit: Limit, life: timedelta
    ) -> None:
        """Write down what was used, and keep `step` back for a run's next step, in place of what was kept for its last.

        Args:
            used: is written down in any case, and counts when leave for the step is decided.
            life: after which it is let go of, in case nobody is left to say so.

        Raises:
            Spent: the tenant's day is.
        """
        ...

    async def charge(self, run: str, tenant: str, used: Amount, *, keep: Amount) -> None:
        """Write down what was used, and keep only `keep` back from now on, none of it for nothing; both or neither."""
        ...


def check_run(limit: Limit, used: Amount) -> None:
    """Raises Spent: the run may take no further step."""
    if limit.tokens is not None and used.tokens >= limit.tokens:
        raise Spent(RUN_TOKENS, f"{used.tokens} tokens of {limit.tokens} for one run")
    if limit.cost_usd is not None and used.cost_usd >= limit.cost_usd:
        raise Spent(RUN_COST, f"{used.cost_usd:.4f} USD of {limit.cost_usd:.2f} for one run")
    if limit.steps is not None and used.steps >= limit.steps:
        raise Spent(RUN_STEPS, f"{used.steps} steps of {limit.steps} for one run")


def check_day(limit: Limit, spent: Amount, held: Amount) -> None:
    """`held`: what other runs' steps are taking. Raises Spent: no step of this tenant may begin."""
    taken = spent + held
    if limit.tokens is not None and taken.tokens >= limit.tokens:
        raise Spent(TENANT_TOKENS, _today(f"{taken.tokens} tokens of {limit.tokens}", held.tokens))
    if limit.cost_usd is not None and taken.cost_usd >= limit.cost_usd:
        raise Spent(TENANT_COST, _today(f"{taken.cost_usd:.4f} USD of {limit.cost_usd:.2f}"))
    if limit.steps is not None and taken.steps >= limit.steps:
        raise Spent(TENANT_STEPS, _today(f"{taken.steps} steps of {limit.steps}", held.steps))
    if limit.seconds is not None and taken.seconds >= limit.seconds:
        said = f"{taken.seconds:.0f} s of {limit.seconds:.0f} s"
        raise Spent(TENANT_SECONDS, _today(said, round(held.seconds)))


def _today(said: str, under_way: int = 0) -> str:
    return f"{said} for today (UTC)" + (f", {under_way} of them under way" if under_way else "")
