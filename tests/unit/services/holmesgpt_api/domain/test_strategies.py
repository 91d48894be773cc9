"""The ranking of strategies: the cause decides first, then what the caller itself tells."""

from __future__ import annotations

from typing import Any

import pytest

from libs.contracts.analysis import StrategyRequest
from libs.contracts.causes import Remediation
from services.holmesgpt_api.domain.strategies import acts_in, rank, remedy_of
from tests.support.investigations import DATABASE, UNDO, cause

pytestmark = pytest.mark.requirement("HAPI-004", "HAPI-013")

MINUTE = 60 * 10**9


def asked(*strategies: dict[str, Any], severity: str = "warning") -> StrategyRequest:
    return StrategyRequest.model_validate(
        {
            "alert_context": {"name": "KubePodCrashLooping", "severity": severity},
            "available_strategies": list(strategies),
        }
    )


def offered(name: str, rate: float = 0.9, minutes: int = 10, cost: int = 100) -> dict[str, Any]:
    return {"name": name, "success_rate": rate, "time_to_resolve": minutes * MINUTE, "cost": cost}


def order(request: StrategyRequest, *causes: Any) -> list[tuple[str, str]]:
    return [(one.strategy_name, one.fit) for one in rank(request, causes).strategy_comparison]


def test_what_mends_the_cause_comes_before_what_is_told_to_succeed_more_often():
    request = asked(offered("immediate_restart", 0.99), offered("config_rollback", 0.7), offered("magic"))

    assert order(request, cause()) == [
        ("config_rollback", "remedies-cause"),
        ("magic", "act-not-told"),
        ("immediate_restart", "not-the-remedy"),
    ]


def test_what_mends_a_further_cause_comes_second():
    scale = Remediation(text="More replicas.", command="kubectl scale statefulset/orders-db --replicas 3")
    further = cause(DATABASE, reason="Overloaded", remediation=scale)
    request = asked(offered("horizontalScaling"), offered("rollback_config"))

    assert order(request, cause(), further) == [
        ("rollback_config", "remedies-cause"),
        ("horizontalScaling", "remedies-contributing-cause"),
    ]


def test_a_critical_alert_puts_time_before_cost_and_others_cost_before_time():
    dear, slow = (
        offered("rollback_a", minutes=1, cost=900),
        offered("rollback_b", minutes=60, cost=1),
    )

    assert order(asked(slow, dear, severity="critical"), cause())[0][0] == "rollback_a"
    assert order(asked(slow, dear, severity="warning"), cause())[0][0] == "rollback_b"


def test_a_rate_or_a_time_that_was_not_told_is_null_and_comes_after_those_that_were():
    answer = rank(asked(offered("rollback_x", 0, 0), offered("rollback_y", 0.1)), [cause()])

    last = answer.strategy_comparison[-1]
    assert (last.strategy_name, last.success_rate, last.average_time) == ("rollback_x", None, None)
    assert "success rate not told" in last.reason


def test_no_number_is_made_up_that_nobody_told():
    answer = rank(asked(offered("config_rollback")), [cause()])

    assert set(answer.roi_analysis.model_dump().values()) == {None}
    assert set(answer.business_impact_metrics.model_dump().values()) == {None}
    assert (answer.optimal_strategy.expected_roi, answer.optimal_strategy.success_rate) == (None, 0.9)
    # 0 would claim certainty to a reader that knows no null.
    assert answer.statistical_significance == 1.0
    assert answer.strategy_comparison[0].confidence_interval == (0.0, 1.0)
    assert len(answer.not_told) == 3


def test_without_a_cause_the_callers_own_numbers_rank_and_the_reason_says_so():
    request = asked(offered("restart", 0.5), offered("rollback", 0.8))
    answer = rank(request, [], unknown="the Context API does not answer")

    assert [one.strategy_name for one in answer.strategy_comparison] == ["rollback", "restart"]
    assert {one.fit for one in answer.strategy_comparison} == {"cause-not-known"}
    assert "the Context API does not answer" in answer.optimal_strategy.justification


def test_a_strategy_that_is_worse_in_something_and_better_in_nothing_names_the_one_above_it():
    request = asked(
        offered("rollback", 0.9, 5, 50), offered("undo", 0.8, 6, 60), offered("revert", 0.8, 6, 1)
    )
    by_name = {one.strategy_name: one for one in rank(request, [cause()]).strategy_comparison}

    assert by_name["undo"].dominated_by == "rollback"
    assert (by_name["rollback"].dominated_by, by_name["revert"].dominated_by) == (None, None)


def test_when_nothing_offered_mends_the_cause_the_choice_says_that():
    answer = rank(asked(offered("restart")), [cause()])

    assert answer.optimal_strategy.name == "restart"
    assert answer.optimal_strategy.justification.startswith("None of the offered strategies mends the cause")


def test_nothing_offered_gives_what_triage_would_do():
    answer = rank(asked(), [cause()])

    assert (answer.optimal_strategy.name, answer.strategy_comparison) == ("", [])
    assert [one.action_type for one in answer.recommendations] == ["configure"]


@pytest.mark.parametrize(
    ("name", "acts"),
    [
        ("immediate_restart", {"restart"}),
        ("connection_pool_scaling", {"scale"}),
        ("resource-limit-adjustment", {"configure"}),
        ("rollbackAndRestart", {"rollback", "restart"}),
        ("database failover", {"failover"}),
        ("DrainNode", {"schedule"}),
        ("unlimited_patience", set()),
        ("", set()),
    ],
)
def test_a_name_tells_by_whole_words_what_is_done(name: str, acts: set[str]):
    assert acts_in(name) == acts


def test_putting_a_value_back_is_a_rollback_too():
    assert remedy_of(cause(remediation=UNDO)) == {"configure", "rollback"}
    assert remedy_of(cause(remediation=None)) == set()
