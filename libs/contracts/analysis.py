"""Strategies and patterns on the wire: two questions of the Kubernaut Go application, and our answers.

The Go application decodes every number into a plain `float64` or `int`, so that null reads as 0 there. What we
do not know is null where 0 claims nothing, and the value that claims nothing where 0 would be a claim: a
p-value of 1, a confidence interval from 0 to 1. Lengths of time are nanoseconds (Go's `time.Duration`).
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from libs.contracts.base import Contract, Foreign, UtcTime
from libs.contracts.causes import Cause
from libs.contracts.investigations import Recommendation, unstorable
from libs.contracts.target import Target

Nanoseconds = Annotated[int, Field(ge=0, le=2**63 - 1, description="nanoseconds, as Go's time.Duration")]

NO_INTERVAL = (0.0, 1.0)
"""Of a rate about which nothing is known."""

NOT_SIGNIFICANT = 1.0
"""The p-value where nothing was compared."""

STRATEGIES_AT_MOST = 100


class AlertContext(Foreign):
    """The alert, as the Go application describes it. A field that is null or empty counts as left out."""

    id: str = Field(default="", max_length=256)
    name: str = Field(min_length=1, max_length=1024)
    description: str = Field(default="", max_length=16_384)
    severity: str = Field(default="", max_length=64)
    labels: dict[str, str] = Field(default_factory=dict, max_length=256)
    annotations: dict[str, str] = Field(default_factory=dict, max_length=256)

    @model_validator(mode="before")
    @classmethod
    def _zero_values_count_as_left_out(cls, body: Any) -> Any:
        return _without_zero_values(body)


class OfferedStrategy(Foreign):
    """A way to mend things, with what its owner knows of it. 0 in rate or time counts as not known."""

    name: str = Field(min_length=1, max_length=200)
    cost: float = Field(default=0, ge=0, le=1e15, allow_inf_nan=False, description="in the caller's own unit")
    success_rate: float = Field(default=0, ge=0, le=1)
    time_to_resolve: Nanoseconds = 0


class StrategyRequest(Foreign):
    """Which of these strategies suits this alert?"""

    alert_context: AlertContext
    available_strategies: list[OfferedStrategy] = Field(default_factory=list, max_length=STRATEGIES_AT_MOST)
    request_id: str | None = Field(default=None, max_length=256)
    analysis_type: str | None = Field(default=None, max_length=256)

    @model_validator(mode="before")
    @classmethod
    def _zero_values_count_as_left_out(cls, body: Any) -> Any:
        return _without_zero_values(body)

    @model_validator(mode="after")
    def _every_text_can_be_stored(self) -> StrategyRequest:
        _refuse_unstorable(self)
        return self


class OptimalStrategy(Contract):
    name: str = Field(description="the first of the ranking; empty when none was offered")
    expected_roi: float | None = None
    success_rate: float | None = Field(default=None, description="as the caller told it")
    justification: str


class ComparedStrategy(Contract):
    """One of the offered strategies, in its place."""

    rank: int = Field(ge=1)
    strategy_name: str
    success_rate: float | None = Field(description="as the caller told it; null: not told")
    average_cost: float = Field(description="as the caller told it")
    average_time: int | None = Field(description="nanoseconds, as the caller told it; null: not told")
    confidence_interval: tuple[float, float] = NO_INTERVAL
    statistical_p_value: float = NOT_SIGNIFICANT
    fit: str = Field(
        description="`remedies-cause`, `remedies-contributing-cause`, `act-not-told`, `remedy-not-told`, "
        "`cause-not-known` or `not-the-remedy`"
    )
    reason: str = Field(description="why it stands where it stands, in a sentence")
    dominated_by: str | None = Field(
        default=None,
        description="an offered strategy that is at least as good in everything, and better in something",
    )


class RoiAnalysis(Contract):
    """Null throughout: a return needs a benefit in the unit of the cost, and the request tells none."""

    expected_roi: float | None = None
    cost_benefit_ratio: float | None = None
    payback_period: int | None = None
    net_present_value: float | None = None


class BusinessImpact(Contract):
    """Null throughout: nobody has told us what an hour of this alert costs, or what else would have failed."""

    time_saved: int | None = None
    incidents_prevented: float | None = None
    cost_savings: float | None = None


class StrategyAnswer(Contract):
    """The strategies in order, and the cause they are held against."""

    optimal_strategy: OptimalStrategy
    strategy_comparison: list[ComparedStrategy]
    roi_analysis: RoiAnalysis = RoiAnalysis()
    statistical_significance: float = NOT_SIGNIFICANT
    business_impact_metrics: BusinessImpact = BusinessImpact()
    request_id: str | None = None
    target: Target | None = None
    cause: Cause | None = None
    recommendations: list[Recommendation] = Field(
        default_factory=list, description="what triage itself would do, whatever was offered"
    )
    degraded_reason: str | None = Field(
        default=None, description="why no cause is known: `context-unavailable`, `context-refused`, …"
    )
    degraded_detail: str | None = None
    not_told: list[str] = Field(default_factory=list, description="keys without a value, and why")


class PatternRequest(Foreign):
    """What has been seen of this alert before?"""

    pattern_type: str = Field(
        default="alert",
        max_length=256,
        description="`alert`: the same alert name; `cause`: also other alerts with its usual cause; `target`: also "
        "others with the kind of object that is usually at fault. Any other word counts as `alert`",
    )
    time_window: Nanoseconds = Field(default=0, description="nanoseconds; 0 or left out: all that is kept")
    alert_context: AlertContext
    request_id: str | None = Field(default=None, max_length=256)

    @model_validator(mode="before")
    @classmethod
    def _zero_values_count_as_left_out(cls, body: Any) -> Any:
        return _without_zero_values(body)

    @model_validator(mode="after")
    def _every_text_can_be_stored(self) -> PatternRequest:
        _refuse_unstorable(self)
        return self


class HistoricalPattern(Contract):
    """Investigations of one alert with one cause at one kind of object."""

    pattern_id: str = Field(description="the same for the same alert, cause and kind")
    strategy_name: str = Field(description="what was recommended first the last time; empty: nothing")
    historical_success_rate: float | None = Field(
        default=None, description="null: nobody has told whether a recommendation helped"
    )
    occurrence_count: int = Field(ge=1)
    avg_resolution_time: int | None = Field(
        default=None, description="null: when an alert was resolved is not known here"
    )
    business_context: str = Field(description="the pattern in a sentence")
    alert_name: str
    matched_by: list[str] = Field(description="`alert`, `cause`, `target`")
    cause_reason: str | None
    target_kind: str | None = Field(
        description="kind of the object at fault; without a cause of the alerting one"
    )
    usual_target: str | None = Field(description="the object most often at fault, as `Kind/ns/name`")
    usual_target_count: int = 0
    first_seen: UtcTime
    last_seen: UtcTime
    ended: dict[str, int] = Field(
        description="how they ended: `cause`, `no-cause`, `failed`, or `running` for those that have not"
    )
    average_investigation_seconds: float | None
    investigation_ids: list[str] = Field(description="the newest ones")


class PatternsAnswer(Contract):
    patterns: list[HistoricalPattern]
    total_patterns: int
    confidence_level: float | None = None
    statistical_p_value: float = NOT_SIGNIFICANT
    request_id: str | None = None
    pattern_type: str
    time_window: int = Field(description="nanoseconds that were looked back")
    looked_at: int = Field(description="investigations the patterns are made of")
    more: bool = Field(description="true: older ones were left out, to keep the question cheap")
    not_told: list[str] = Field(default_factory=list, description="keys without a value, and why")


def _refuse_unstorable(request: Foreign) -> None:
    if unstorable(request.model_dump()):
        raise ValueError("a text contains a NUL character or an unpaired surrogate; leave it out")


def _without_zero_values(body: Any) -> Any:
    if not isinstance(body, dict):
        return body
    return {key: value for key, value in body.items() if value is not None and value != ""}
