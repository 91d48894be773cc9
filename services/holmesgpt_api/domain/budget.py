"""Budgets: what a run, and a tenant in a day, may take of models. Pure; `adapters/purse.py` keeps the books.

A step is allowed while what is spent, together with what other steps are taking this moment, lies below the
limit. So a day's budget is overshot by one step at most, however many runs there are at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from services.holmesgpt_api.domain.errors import HolmesError

RUN_TOKENS, RUN_COST, RUN_SECONDS = "budget-run-tokens", "budget-run-cost", "budget-run-seconds"
TENANT_TOKENS, TENANT_COST = "budget-tenant-tokens", "budget-tenant-cost"
BUDGETS = (RUN_TOKENS, RUN_COST, RUN_SECONDS, TENANT_TOKENS, TENANT_COST)


@dataclass(frozen=True, slots=True)
class Amount:
    tokens: int = 0
    cost_usd: float = 0.0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.tokens + other.tokens, self.cost_usd + other.cost_usd)

    def __bool__(self) -> bool:
        return self.tokens > 0 or self.cost_usd > 0


@dataclass(frozen=True, slots=True)
class Limits:
    """None: no limit. `tenants`: those whose day has limits of its own."""

    run: Limit
    day: Limit
    run_seconds: timedelta | None = None
    tenants: Mapping[str, Limit] = field(default_factory=dict)

    def of(self, tenant: str) -> Limit:
        return self.tenants.get(tenant, self.day)


@dataclass(frozen=True, slots=True)
class Limit:
    tokens: int | None = None
    cost_usd: float | None = None


UNLIMITED = Limits(Limit(), Limit())


class Spent(HolmesError):
    """A budget is spent. `word` is the verdict's `degraded_reason`."""

    def __init__(self, word: str, detail: str) -> None:
        super().__init__(f"{word}: {detail}")
        self.word, self.detail = word, detail


class Purse(Protocol):
    """The books. Everything raises `StorageUnavailable` when the database does not serve."""

    async def reserve(self, run: str, tenant: str, step: Amount, *, limit: Limit, life: timedelta) -> None:
        """Keep this much back for a run's next step, in place of what was kept for its last.

        Args:
            life: after which it is let go of, in case nobody is left to say so.

        Raises:
            Spent: the tenant's day is.
        """
        ...

    async def charge(self, run: str, tenant: str, used: Amount) -> None:
        """Write down what was used, and let go of what was kept back for it; both or none."""
        ...


def check_run(limit: Limit, used: Amount) -> None:
    """Raises Spent: the run may take no further step."""
    if limit.tokens is not None and used.tokens >= limit.tokens:
        raise Spent(RUN_TOKENS, f"{used.tokens} tokens of {limit.tokens} for one run")
    if limit.cost_usd is not None and used.cost_usd >= limit.cost_usd:
        raise Spent(RUN_COST, f"{used.cost_usd:.4f} USD of {limit.cost_usd:.2f} for one run")


def check_day(limit: Limit, spent: Amount, held: Amount) -> None:
    """`held`: what other runs' steps are taking. Raises Spent: no step of this tenant may begin."""
    taken = spent + held
    under_way = f", {held.tokens} of them under way" if held.tokens else ""
    if limit.tokens is not None and taken.tokens >= limit.tokens:
        raise Spent(TENANT_TOKENS, f"{taken.tokens} tokens of {limit.tokens} for today (UTC){under_way}")
    if limit.cost_usd is not None and taken.cost_usd >= limit.cost_usd:
        raise Spent(TENANT_COST, f"{taken.cost_usd:.4f} USD of {limit.cost_usd:.2f} for today (UTC)")
