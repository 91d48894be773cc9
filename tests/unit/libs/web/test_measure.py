"""What is left of a request: bounded series, one line."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from libs.auth.guards import SCOPE_KEY
from libs.auth.principal import principal_for
from libs.logs.context import RequestContext
from libs.metrics import Metrics
from libs.web.answer import Answer
from libs.web.measure import MAX_BOUND, Measure
from libs.web.routes import NOWHERE, Place

pytestmark = pytest.mark.requirement("INF-BR-MET-004", "HAPI-135", "INT-BR-WH-025")

CONTEXT = RequestContext("r-1", f"00-{'a' * 32}-{'b' * 16}-01")
NOTES = Place("/notes")


async def nothing(message) -> None: ...


def ended(measure: Measure, *, method="GET", path="/notes", place=NOTES, status=200, caller=None) -> list:
    answer = Answer(nothing, [], "r-1")
    answer.status, answer.size = status, 7
    scope = {"method": method, "path": path, "client": ("10.0.0.1", 1)}
    if caller is not None:
        scope[SCOPE_KEY] = caller
    with capture_logs() as lines:
        measure.ended(scope, place, answer, 0.25, CONTEXT)
    return lines


def test_a_request_is_counted_timed_and_written():
    metrics = Metrics("x")

    (line,) = ended(Measure(metrics, ["/notes", "unmatched"]))

    labels = {"method": "GET", "route": "/notes", "status_class": "2xx"}
    assert metrics.registry.get_sample_value("http_requests_total", labels) == 1
    assert metrics.registry.get_sample_value("http_request_duration_seconds_sum", {"route": "/notes"}) == 0.25
    assert (line["ms"], line["bytes"], line["client"], line["trace_id"]) == (250, 7, "10.0.0.1", "a" * 32)


def test_methods_and_states_nobody_knows_are_other():
    metrics = Metrics("x")

    ended(Measure(metrics, ["/notes"]), method="BREW", status=0, place=NOWHERE)

    labels = {"method": "other", "route": "other", "status_class": "other"}
    assert metrics.registry.get_sample_value("http_requests_total", labels) == 1


def test_a_caller_who_invents_methods_fills_no_memory():
    measure = Measure(Metrics("x"), ["/notes"])

    for number in range(MAX_BOUND + 100):
        ended(measure, method=f"M{number}")

    assert len(measure._bound) == MAX_BOUND


def test_a_probe_is_written_for_debugging_only():
    (line,) = ended(Measure(Metrics("x"), ["/health"]), place=Place("/health", probe=True))

    assert line["log_level"] == "debug"


@pytest.mark.requirement("API-BR-SEC-012")
@pytest.mark.parametrize("run", ["inv-7", None])
def test_a_request_made_within_a_run_names_the_run(run):
    caller = principal_for(
        "ann", tenant="acme", roles=[], namespaces=[], method="token", credential="", run=run
    )

    (line,) = ended(Measure(Metrics("x"), ["/notes"]), caller=caller)

    assert (line["caller"], line.get("run")) == ("ann", run)
