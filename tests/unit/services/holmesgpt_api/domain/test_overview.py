"""What is told of models is what workers have reported, put together; what nobody reported is not made up."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from libs.contracts.alerts import Priority
from libs.contracts.context import ContextHealth
from libs.contracts.health import ComponentHealth
from services.holmesgpt_api.domain.custom.bound import bound
from services.holmesgpt_api.domain.custom.pin import Offer, Pin
from services.holmesgpt_api.domain.engine_health import Report
from services.holmesgpt_api.domain.overview import (
    Seen,
    Tally,
    cluster,
    clusters,
    dependencies,
    llm_health,
    models,
    prompts,
    status,
    toolsets,
)
from services.holmesgpt_api.domain.roster import Entry, Roster
from services.holmesgpt_api.domain.toolsets import Toolsets
from services.holmesgpt_api.engine.messages import ModelAccess, ModelAsked
from services.holmesgpt_api.engine.wordings import PROMPT_VERSION, WORDINGS
from tests.support.toolsets import document, http, listed, mcp

pytestmark = pytest.mark.requirement("HAPI-023", "HAPI-165")

NOW = datetime(2026, 11, 18, tzinfo=UTC)
READY = Report("openai/a", "ready", "", 1, 5)


def entry(name: str = "a", rank: int = 0) -> Entry:
    access = ModelAccess(
        name=name,
        model=f"openai/{name}",
        api_key="sk-secret",
        context_tokens=8000,
        output_tokens=1000,
        request_timeout_s=5,
        attempts=1,
    )
    return Entry(access, "openai", rank)


def tally(name: str = "a", **fields: Any) -> Tally:
    values: dict[str, Any] = {
        "name": name,
        "state": "ready",
        "tools": True,
        "word": None,
        "requests": 10,
        "answered": 10,
        "seconds": 1.0,
        "last_age": 5.0,
    }
    return Tally(**(values | fields))


def health(*tallies: Tally, engines: tuple[Report, ...] = (READY,), entries: tuple[Entry, ...] = (entry(),)):
    return llm_health(entries, Seen(at=10, tallies=tallies, engines=engines), now=NOW, clock=12.5)


def test_a_model_is_told_as_all_workers_find_it():
    (one,) = models(
        [entry()],
        [
            tally(answered=5, seconds=2.0, state="left-alone", word="model-error", last_age=1.0),
            tally(tools=None, seconds=1.0),
        ],
    )

    assert (one.available, one.state, one.reason, one.tools) == (True, "left-alone", "model-error", True)
    assert (one.requests, one.availability, one.response_time) == (20, 0.75, 1.333)
    assert one.description == "asked first; left-alone after model-error"


def test_a_model_nobody_tells_of_is_not_available_and_has_no_figures():
    (one,) = models([entry()], [])

    assert (one.available, one.state, one.tools) == (False, "unknown", None)
    assert (one.availability, one.response_time) == (None, None)


@pytest.mark.requirement("HAPI-110")
def test_no_key_is_told():
    assert "sk-secret" not in health(tally()).model_dump_json()


def test_a_roster_of_a_worker_becomes_its_tallies():
    roster = Roster([entry()])
    roster.heard(ModelAsked(step=1, model="a", seconds=2.0))

    (one,) = [Tally.of(standing, 3, 1) for standing in roster.standings()]

    assert (one.state, one.requests, one.answered, one.seconds, one.stood, one.fell) == (
        "ready",
        1,
        1,
        2.0,
        3,
        1,
    )


@pytest.mark.requirement("HAPI-BR-HEALTH-020", "HAPI-BR-HEALTH-021", "HAPI-BR-HEALTH-022")
def test_health_tells_response_time_accuracy_and_availability_with_its_age():
    told = health(
        tally(stood=9, fell=1), tally("b", stood=9, fell=1, answered=5), entries=(entry(), entry("b", 1))
    )

    assert (told.status, told.age_s) == ("healthy", 2.5)
    assert (told.response_time, told.accuracy, told.availability) == (1.0, 0.9, 0.75)


@pytest.mark.requirement("HAPI-BR-HEALTH-023")
@pytest.mark.parametrize(
    ("tallies", "engines", "entries", "expected"),
    [
        ([], (), (), "not_configured"),
        ([tally()], (), (entry(),), "unhealthy"),
        ([tally(state="left-alone", word="model-unauthorized")], (READY,), (entry(),), "unhealthy"),
        ([tally(tools=False)], (READY,), (entry(),), "unhealthy"),
        (
            [tally(state="left-alone", word="model-error"), tally("b")],
            (READY,),
            (entry(), entry("b", 1)),
            "healthy",
        ),
        ([tally()], (Report("openai/a", "starting", "", 0, 5),), (entry(),), "degraded"),
    ],
)
def test_health_is_bad_only_where_triage_has_to_stand_in(tallies, engines, entries, expected):
    assert health(*tallies, engines=engines, entries=entries).status == expected


def test_before_anything_was_seen_it_is_unknown_and_not_well():
    told = llm_health([entry()], None, now=NOW, clock=0)

    assert (told.status, told.age_s, told.availability) == ("unknown", None, None)


@pytest.mark.requirement("HAPI-BR-HEALTH-026", "HAPI-BR-HEALTH-027")
@pytest.mark.parametrize(("database", "expected"), [("healthy", "healthy"), ("unhealthy", "degraded")])
def test_dependencies_are_told_together(database: str, expected: str):
    checks = {"database": ComponentHealth(status=database), "llm": ComponentHealth(status="degraded")}

    told = dependencies(checks, health(tally()), now=NOW, share_fine=0.5)

    assert (told.status, told.availability, told.dependencies["llm"].status) == (expected, 0.5, "healthy")


@pytest.mark.requirement("HAPI-020")
def test_status_tells_how_busy_it_is():
    seen = Seen(at=0, tallies=[tally()], engines=[READY, READY], held_by_priority={Priority.p2: 3}, active=7)
    told = status(
        llm_health([entry()], seen, now=NOW, clock=0),
        seen,
        service="holmesgpt-api",
        version="1",
        config_version=4,
        now=NOW,
    )

    assert (told.engine, told.running, told.places, told.held, told.active) == ("holmesgpt", 2, 10, 3, 7)
    assert (told.models_available, told.config_version, told.status) == (1, 4, "healthy")


@pytest.mark.requirement("HAPI-022", "HAPI-033")
def test_toolsets_say_what_they_can_and_whether_they_are_on():
    told = {one.name: one for one in toolsets(Toolsets.chosen(["prometheus"], None))}

    assert (told["prometheus"].enabled, told["prometheus"].default) == (True, True)
    assert told["kubernetes"].enabled is False
    assert told["kubernetes/logs"].capabilities == ["get_logs"]


CMDB, RUNBOOKS = "https://cmdb.example.com", "https://runbooks.example.com"


@pytest.mark.requirement("HAPI-022", "HAPI-079")
def test_foreign_systems_say_what_each_tool_may_do_and_why_one_is_withdrawn():
    offer = Offer("lookup", "Finds a runbook", {"type": "object"}, read_only=False, destructive=None)
    pins = [
        Pin("runbooks", "1.0.0", "lookup", offer.hash, offer),
        Pin("runbooks", "1.0.0", "carry_out", None, None, "the server has changed its description"),
        Pin("runbooks", "0.9.0", "lookup", None, None, "an earlier version's"),
    ]
    others = [listed(http(CMDB)), listed(mcp(RUNBOOKS)), bound(document(http(CMDB, name="closed")), [], ())]

    told = {one.name: one for one in toolsets(Toolsets.chosen(None, None, others), pins=pins)}

    assert (told["cmdb"].type, told["cmdb"].origin, told["cmdb"].status) == ("http", CMDB, "ok")
    assert [(one.name, one.access) for one in told["cmdb"].tools] == [
        ("owner", "read"),
        ("any", "read"),
        ("restart", "write"),
    ]
    # A server's own hint makes a tool stricter than its document has it.
    assert [(one.name, one.access, one.status) for one in told["runbooks"].tools] == [
        ("lookup", "write", "ok"),
        ("carry_out", "write", "withdrawn"),
    ]
    assert "has changed" in str(told["runbooks"].tools[1].reason)
    assert (told["closed"].enabled, told["closed"].status) == (False, "withdrawn")
    assert "HOLMESGPT_TOOLSET_ORIGINS" in str(told["closed"].reason)


@pytest.mark.requirement("HAPI-022", "HAPI-079")
def test_a_tenant_does_not_see_toolsets_of_others():
    chosen = Toolsets.chosen(None, None, [listed(http(CMDB, tenants=["shop"]))])

    assert "cmdb" not in {one.name for one in toolsets(chosen, tenant="data")}
    (seen,) = [one for one in toolsets(chosen, tenant="shop") if one.name == "cmdb"]
    assert seen.for_some_tenants
    assert "shop" not in seen.model_dump_json().replace("kubernaut", "").replace("shop/", "")


def test_a_server_that_nobody_has_looked_at_is_unknown():
    (seen,) = [
        one for one in toolsets(Toolsets.chosen(None, None, [listed(mcp(RUNBOOKS))])) if one.type == "mcp"
    ]

    assert (seen.status, [one.status for one in seen.tools]) == ("unknown", ["unknown", "unknown"])


@pytest.mark.requirement("HAPI-016", "HAPI-BR-HEALTH-026")
@pytest.mark.parametrize(
    ("told", "status", "detail"),
    [
        ("healthy", "healthy", ""),
        ("unhealthy", "unhealthy", "is unhealthy"),
        ("unavailable", "unhealthy", "is unavailable"),
    ],
)
def test_the_cluster_is_as_the_context_api_says(told: str, status: str, detail: str):
    said = ContextHealth(
        status="healthy",
        timestamp=NOW,
        version="1",
        cache_hit_rate=0.0,
        context_types=5,
        kubernetes_connectivity=told,
    )

    assert cluster(said).status == status
    assert detail in cluster(said).detail


@pytest.mark.requirement("HAPI-016")
def test_nobody_knows_how_the_cluster_is_while_the_context_api_is_away():
    component = cluster(ConnectionError("context-api: connect"))

    assert component.status == "unknown"
    assert "context-api: connect" in component.detail


@pytest.mark.requirement("HAPI-161")
def test_the_versions_of_our_words_are_told_with_what_they_want_and_one_is_the_default():
    told = prompts()

    assert [one.version for one in told] == list(WORDINGS)
    assert [one.version for one in told if one.default] == [PROMPT_VERSION]
    assert all(one.description for one in told)


@pytest.mark.requirement("HAPI-179")
def test_each_cluster_is_as_its_own_context_api_is_and_says():
    checks = {
        name: ComponentHealth(status=word)
        for name, word in {
            "context_api": "healthy",
            "kubernetes": "healthy",
            "context_api:eu": "healthy",
            "kubernetes:eu": "healthy",
            "context_api:us": "unhealthy",
            "kubernetes:us": "unknown",
            "context_api:lab": "healthy",
            "kubernetes:lab": "unhealthy",
        }.items()
    }

    told = clusters(["eu", "us", "lab", "new"], checks)

    assert told == {"eu": "healthy", "us": "unhealthy", "lab": "unhealthy", "new": "unknown"}
