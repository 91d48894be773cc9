"""What an operator can set about budgets: what a run, and a tenant in a day, may take of models."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.contracts.base import Duration


class BudgetSettings(BaseSettings):
    """For everybody; the configuration file's `budgets` count before these, and give single tenants their own."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True, extra="ignore", populate_by_name=True)

    budget_run_tokens: int = Field(default=400_000, ge=0, validation_alias="HOLMESGPT_BUDGET_RUN_TOKENS")
    """Tokens of one investigation, read and written; 0: no limit. As many as twelve full windows of 32,000; a run
    that needs more goes round in circles. This and the other budgets: once spent, triage's result stands."""

    budget_run_cost_usd: float = Field(
        default=2.0, ge=0, allow_inf_nan=False, validation_alias="HOLMESGPT_BUDGET_RUN_COST_USD"
    )
    """US dollars of one investigation; 0: no limit. Trials have cost cents; more is a mistake in a price or a loop."""

    budget_run_steps: int = Field(default=0, ge=0, validation_alias="HOLMESGPT_BUDGET_RUN_STEPS")
    """Answers that a model is asked for in one investigation, those that write its conclusion down included; 0: no
    limit. None, because HOLMESGPT_MAX_STEPS and two for the conclusion are bound enough; and there the model is told
    to conclude, while here it is cut short."""

    budget_run_seconds: Duration | None = Field(
        default=None, ge=timedelta(0), validation_alias="HOLMESGPT_BUDGET_RUN_SECONDS"
    )
    """Seconds of one investigation at the models. Unset, or 0: until its deadline, which is bound enough."""

    budget_tenant_tokens_per_day: int = Field(
        default=20_000_000, ge=0, validation_alias="HOLMESGPT_BUDGET_TENANT_TOKENS_PER_DAY"
    )
    """Tokens of one tenant's investigations in a day (UTC), all workers together; 0: no limit. Fifty investigations
    at their limit: an alert storm ends there and not in next month's bill."""

    budget_tenant_cost_usd_per_day: float = Field(
        default=50.0,
        ge=0,
        allow_inf_nan=False,
        validation_alias="HOLMESGPT_BUDGET_TENANT_COST_USD_PER_DAY",
    )
    """US dollars of the same; 0: no limit. A guess at what nobody minds; counts what has a price."""

    budget_tenant_steps_per_day: int = Field(
        default=0, ge=0, validation_alias="HOLMESGPT_BUDGET_TENANT_STEPS_PER_DAY"
    )
    """Answers that models are asked for by one tenant in a day (UTC), all workers together; 0: no limit. None, because
    tokens bound the bill; for servers that count or sell requests, and for models whose tokens nobody tells."""

    budget_tenant_seconds_per_day: Duration | None = Field(
        default=None, ge=timedelta(0), validation_alias="HOLMESGPT_BUDGET_TENANT_SECONDS_PER_DAY"
    )
    """Seconds that one tenant's runs have places at the models in a day (UTC), all workers together. Unset, or 0: no
    limit, because turns are shared out in the line as it is; for a model of one's own, of which there are only so many
    hours. Each run under way keeps back what is left until its end (HOLMESGPT_INVESTIGATION_TIMEOUT at most), so a
    limit below HOLMESGPT_MAX_RUNNING times that turns some away before it is spent."""
