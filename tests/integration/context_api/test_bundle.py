"""Bundles, streams, topologies and older callers' routes over HTTP, from a recording on disk."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from libs.contracts.bundle import BYTES_PER_TOKEN, Bundle
from services.context_api.adapters.recording import load_recording
from tests.integration.context_api.test_service import ALERT, INCIDENT, as_reader_of, service

pytestmark = pytest.mark.requirement(
    "API-BR-CAPI-001", "API-BR-CAPI-004", "API-BR-CAPI-007", "API-BR-CAPI-009", "HAPI-BR-CONTEXT-006"
)

CONTEXT = "/api/v1/context"
CHECKOUT = {"api_version": "apps/v1", "kind": "Deployment", "namespace": "shop", "name": "checkout"}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with service(recorded_cluster=INCIDENT, alerts_url="http://127.0.0.1:9") as made:
        yield made


def asked(**more: Any) -> dict[str, Any]:
    return {"alert": {"labels": ALERT["labels"], "starts_at": ALERT["startsAt"]}, **more}


async def test_an_alert_is_answered_by_its_cause_and_what_proves_it_first(client: httpx.AsyncClient):
    answer = await client.post(f"{CONTEXT}/bundle", json=asked())

    made = Bundle.model_validate(answer.json())
    assert made.resolved_by == "label:deployment" or made.resolved_by.startswith("label:")
    assert made.causes[0].about == "ConfigMap/data/orders-db-config"
    assert made.items[0].id in made.causes[0].evidence_ids
    assert [one.relevance for one in made.items] == sorted((i.relevance for i in made.items), reverse=True)
    assert all(one.why for one in made.items)


@pytest.mark.parametrize("room", [1_000, 2_500, 8_000])
async def test_the_whole_answer_keeps_within_the_budget_and_says_what_was_left_out(
    client: httpx.AsyncClient, room: int
):
    answer = await client.post(f"{CONTEXT}/bundle", json=asked(max_tokens=room))

    made = answer.json()
    assert answer.status_code == 200
    assert -(-len(answer.content) // BYTES_PER_TOKEN) == made["budget"]["used_tokens"] <= room
    assert made["causes"]
    assert made["left_out_total"] > 0 or room > 4_000


async def test_every_item_can_be_asked_for_by_its_id(client: httpx.AsyncClient):
    made = (await client.post(f"{CONTEXT}/bundle", json=asked())).json()

    answers = [await client.get(f"{CONTEXT}/evidence/{item['id']}") for item in made["items"]]

    assert [a.status_code for a in answers] == [200] * len(made["items"])


async def test_what_a_source_could_not_tell_is_said(client: httpx.AsyncClient):
    made = (await client.post(f"{CONTEXT}/bundle", json=asked())).json()

    states = {one["source"]: one for one in made["sources"]}
    assert states["kubernetes"]["status"] == "read"
    assert states["action-history"]["status"] == "not-available"
    assert "alerts" in states["action-history"]["detail"]
    assert made["adequacy"] == {
        "score": made["adequacy"]["score"], "adequate": False, "wanted": 0.85, "missing": made["adequacy"]["missing"],
    }  # fmt: skip
    assert "action-history" in made["adequacy"]["missing"]


async def test_only_the_wanted_sources_are_in_it(client: httpx.AsyncClient):
    made = (await client.post(f"{CONTEXT}/bundle", json=asked(sources=["logs"]))).json()

    assert {item["source"] for item in made["items"]} == {"logs"}
    assert {s["source"] for s in made["sources"] if s["status"] == "not-wanted"} == {
        "kubernetes", "metrics", "action-history", "patterns",
    }  # fmt: skip


async def test_log_lines_tell_how_often_and_from_when_to_when(client: httpx.AsyncClient):
    made = (await client.post(f"{CONTEXT}/bundle", json=asked(sources=["logs"]))).json()

    lines = [line for item in made["items"] for line in item["lines"]]
    assert lines
    assert all(line["count"] >= 1 for line in lines)
    assert any(line.get("first") and line["first"] <= line["last"] for line in lines)


@pytest.mark.requirement("API-BR-CAPI-018", "HAPI-178")
async def test_who_may_not_read_the_namespace_is_refused_and_others_see_nothing_of_it(
    client: httpx.AsyncClient,
):
    refused = await client.post(f"{CONTEXT}/bundle", json=asked(), headers=as_reader_of("data"))
    narrow = await client.post(f"{CONTEXT}/bundle", json=asked(), headers=as_reader_of("shop"))

    assert (refused.status_code, refused.json()["code"]) == (403, "namespace-not-readable")
    assert narrow.status_code == 200
    assert "/data/" not in narrow.text


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"target": CHECKOUT, "alert": {"labels": {"a": "b"}}}, "body"),
        ({"target": {"kind": "Pod"}}, "body.target.name"),
        ({"alert": {"labels": {}}}, "body.alert.labels"),
        (asked(max_tokens=10), "body.max_tokens"),
        (asked(max_tokens=10**9), "body.max_tokens"),
        (asked(sources=["internet"]), "body.sources.0"),
        (asked(sources=[]), "body.sources"),
        (asked(investigation_type="guess"), "body.investigation_type"),
        (asked(onset="9999-01-01T00:00:00Z"), "body.onset"),
        (asked(spare=1), "body.spare"),
    ],
)
async def test_bad_input_is_named(client: httpx.AsyncClient, body: Mapping[str, Any], field: str):
    answer = await client.post(f"{CONTEXT}/bundle", json=body)

    assert answer.status_code == 422
    assert field in [one["field"] for one in answer.json()["errors"]]


async def test_labels_that_name_nothing_are_told_what_to_give_instead(client: httpx.AsyncClient):
    answer = await client.post(f"{CONTEXT}/bundle", json={"alert": {"labels": {"alertname": "Watchdog"}}})

    assert (answer.status_code, answer.json()["code"]) == (422, "names-no-object")
    assert "target" in answer.json()["detail"]


async def test_an_object_that_is_not_recorded_is_answered_with_what_is_missing(client: httpx.AsyncClient):
    made = (await client.post(f"{CONTEXT}/bundle", json={"target": {**CHECKOUT, "name": "nobody"}})).json()

    assert made["no_cause"] == "insufficient-evidence"
    assert any("nobody" in gap for gap in made["not_looked_at"])


@pytest.mark.requirement("API-BR-CAPI-010")
async def test_a_stream_tells_each_section_and_ends(client: httpx.AsyncClient):
    # With room for everything: how long a source took stands in the answer too, and may cost the last fact its place.
    asked = {"target": "Deployment/shop/checkout", "max_tokens": "32000"}
    answer = await client.get(f"{CONTEXT}/bundle/stream", params=asked)

    events = [
        (part.split("\n")[0].removeprefix("event: "), json.loads(part.split("\ndata: ")[1]))
        for part in answer.text.strip().split("\n\n")
    ]
    names = [name for name, _ in events]
    whole = (await client.post(f"{CONTEXT}/bundle", json={"target": CHECKOUT, "max_tokens": 32_000})).json()
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert names[0] in ("progress", "causes")
    assert names[-1] == "end"
    told = [item["id"] for name, data in events if name == "items" for item in data["items"]]
    assert sorted(told) == sorted(item["id"] for item in whole["items"])


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"target": "nonsense"}, 422),
        ({"target": "Pod/shop/../x"}, 422),
        ({"target": "Deployment/shop/checkout", "max_tokens": "1"}, 422),
        ({}, 422),
        ({"target": "Deployment/shop/checkout", "sources": ["logs"] * 6}, 422),
    ],
)
async def test_a_stream_refuses_by_its_status(client: httpx.AsyncClient, query: dict[str, Any], status: int):
    assert (await client.get(f"{CONTEXT}/bundle/stream", params=query)).status_code == status


async def test_a_stream_refuses_who_may_not_read(client: httpx.AsyncClient):
    answer = await client.get(
        f"{CONTEXT}/bundle/stream",
        params={"target": "Deployment/shop/checkout"},
        headers=as_reader_of("data"),
    )

    assert answer.status_code == 403


async def test_the_graph_leads_from_the_alert_to_its_cause(client: httpx.AsyncClient):
    answer = await client.get(f"{CONTEXT}/topology/shop/Deployment/checkout", params={"depth": 5})

    made = answer.json()
    nodes = {node["id"]: node for node in made["nodes"]}
    onward: dict[str, set[str]] = {}
    for edge in made["edges"]:
        onward.setdefault(edge["source"], set()).add(edge["target"])
    reached, todo = {"Deployment/shop/checkout"}, ["Deployment/shop/checkout"]
    while todo:
        new = onward.get(todo.pop(), set()) - reached
        reached |= new
        todo += new
    assert nodes["Deployment/shop/checkout"]["distance"] == 0
    assert "ConfigMap/data/orders-db-config" in reached
    assert all(edge["source"] in nodes and edge["target"] in nodes for edge in made["edges"])


@pytest.mark.requirement("API-BR-CAPI-005", "HAPI-BR-CONTEXT-001")
async def test_the_kinds_of_context_are_listed_as_go_decodes_them(client: httpx.AsyncClient):
    made = (await client.get(f"{CONTEXT}/discover")).json()

    first = made["available_types"][0]
    assert made["total_types"] == len(made["available_types"]) == 5
    assert (first["name"], first["priority"], first["freshness_window"]) == (
        "kubernetes",
        100,
        30_000_000_000,
    )
    assert all(0 <= row["relevance_score"] <= 1 for row in made["available_types"])


@pytest.mark.requirement("HAPI-BR-CONTEXT-016", "HAPI-BR-CONTEXT-031")
@pytest.mark.parametrize(
    ("alert", "severity", "least"),
    [
        ("PodCrashLoopBackOff", "critical", 3),
        ("HighMemoryUsage", "warning", 2),
        ("DiskSpaceWarning", "info", 1),
        ("SecurityBreach", "critical", 4),
    ],
)
async def test_an_alert_gets_as_many_kinds_of_context_as_its_severity_calls_for(
    client: httpx.AsyncClient, alert: str, severity: str, least: int
):
    made = (await client.get(f"{CONTEXT}/discover", params={"alertType": alert, "severity": severity})).json()

    assert made["total_types"] >= least
    if severity == "critical":
        assert sum(row["priority"] >= 80 for row in made["available_types"]) >= 2


async def test_an_alerts_context_grows_with_its_tier(client: httpx.AsyncClient):
    one = await client.get(f"{CONTEXT}/alert/info/DiskSpaceWarning", params={"namespace": "shop"})
    other = await client.get(f"{CONTEXT}/alert/critical/PodCrashLoopBackOff", params={"namespace": "shop"})

    assert (one.json()["complexity_tier"], other.json()["complexity_tier"]) == ("simple", "complex")
    assert one.json()["context_size"] <= 1_500 < 6_000
    assert one.json()["optimization_applied"] is True


@pytest.mark.requirement("HAPI-BR-CONTEXT-021")
async def test_an_investigation_says_whether_its_context_suffices(client: httpx.AsyncClient):
    rca = (
        await client.get(f"{CONTEXT}/investigation/root_cause_analysis", params={"namespace": "shop"})
    ).json()
    basic = (
        await client.get(f"{CONTEXT}/investigation/basic_investigation", params={"namespace": "shop"})
    ).json()

    assert rca["context_adequate"] is False
    assert rca["adequacy_score"] < 0.85
    assert basic["context_adequate"] is True
    assert basic["adequacy_score"] >= 0.6


async def test_series_of_a_resource_are_told_and_an_unknown_one_has_none(client: httpx.AsyncClient):
    none = await client.get(f"{CONTEXT}/metrics/shop/nobody")
    wrong = await client.get(f"{CONTEXT}/metrics/shop/checkout", params={"timeRange": "soon"})

    assert (none.status_code, none.json()["metrics"]["series"]) == (200, [])
    assert wrong.status_code == 422


@pytest.mark.parametrize(
    "path",
    [
        "context/action-history/HighMemoryUsage?namespace=shop",
        "context/action-history?alertType=HighMemoryUsage&workflowId=7&limit=5",
        "alerts/history?alert=HighMemoryUsage&namespace=shop",
    ],
)
async def test_without_its_archive_history_is_empty_and_says_why(client: httpx.AsyncClient, path: str):
    answer = await client.get(f"/api/v1/{path}")

    made = answer.json()
    assert answer.status_code == 200
    assert made["alert_type"] == "HighMemoryUsage"
    assert made["history_data"]["available"] is False
    assert "alerts" in made["history_data"]["reason"]


async def test_what_the_earlier_client_asked_for_is_answered(client: httpx.AsyncClient):
    resources = await client.get("/api/v1/namespace/shop/resources")
    whole = await client.get("/api/v1/namespace/shop/context")

    assert resources.json()["context"]["kind"] == "Pod"
    assert whole.json()["context_adequate"] is True


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "llm"), ("GET", "llm/liveness"), ("GET", "dependencies"), ("POST", "monitoring/start")],
)
async def test_who_asks_here_after_models_is_told_where_to_ask(
    client: httpx.AsyncClient, method: str, path: str
):
    answer = await client.request(method, f"/api/v1/health/{path}")

    assert answer.status_code == 404
    assert "HolmesGPT API" in answer.json()["detail"]


async def test_an_incident_can_be_kept_and_asked_again(client: httpx.AsyncClient, tmp_path: Path):
    answer = await client.post(
        f"{CONTEXT}/snapshots", json={"alert": {"labels": ALERT["labels"], "starts_at": ALERT["startsAt"]}}
    )
    name = answer.headers["content-disposition"].partition('filename="')[2].strip('"')
    place = tmp_path / name
    place.write_bytes(answer.content)

    async with service(recorded_cluster=place, alerts_url="http://127.0.0.1:9") as again:
        made = (await again.post(f"{CONTEXT}/bundle", json=asked())).json()

    assert answer.headers["content-type"] == "application/gzip"
    assert name.endswith(".tar.gz")
    assert made["causes"][0]["about"] == "ConfigMap/data/orders-db-config"


@pytest.mark.requirement("API-BR-CAPI-018", "HAPI-178")
async def test_what_is_kept_holds_nothing_of_what_the_caller_may_not_read(
    client: httpx.AsyncClient, tmp_path: Path
):
    answer = await client.post(
        f"{CONTEXT}/snapshots", json={"target": CHECKOUT}, headers=as_reader_of("shop")
    )
    refused = await client.post(
        f"{CONTEXT}/snapshots", json={"target": CHECKOUT}, headers=as_reader_of("data")
    )
    place = tmp_path / "kept.tar.gz"
    place.write_bytes(answer.content)

    assert {o.namespace for o in load_recording(place).objects} <= {"shop", None}
    assert refused.status_code == 403


async def test_toolsets_are_listed_as_the_earlier_client_polls_them(client: httpx.AsyncClient):
    (await client.get(f"{CONTEXT}/kubernetes/_cluster/nodes")).raise_for_status()
    listed = (await client.get("/api/v1/toolsets")).json()
    stats = (await client.get("/api/v1/toolsets/stats")).json()
    refreshed = (await client.post("/api/v1/toolsets/refresh")).json()
    found = (await client.get("/api/v1/service-discovery")).json()

    assert (
        listed["count"] == len(listed["toolsets"]) == stats["stats"]["total_toolsets"] == refreshed["count"]
    )
    assert {
        "name",
        "service_type",
        "description",
        "version",
        "capabilities",
        "enabled",
        "priority",
        "last_updated",
    } == set(listed["toolsets"][0])
    assert all(row["enabled"] for row in listed["toolsets"])
    assert found["health"]["kubernetes"] == "healthy"


@pytest.mark.parametrize(
    "body", [{"alert_name": "HighErrorRate"}, {"alertType": "HighErrorRate", "more": 1}, {}]
)
async def test_patterns_are_told_whatever_the_earlier_client_calls_the_alert(
    client: httpx.AsyncClient, body: dict[str, Any]
):
    answer = await client.post("/api/v1/patterns/analyze", json=body)

    assert answer.status_code == 200
    assert answer.json()["pattern_context"]["available"] is False


async def test_a_target_that_cannot_be_is_told_what_is_wrong_with_it_and_not_repeated(
    client: httpx.AsyncClient,
):
    answer = await client.get(f"{CONTEXT}/bundle/stream", params={"target": "Pod/Geheim/-x"})

    (error,) = answer.json()["errors"]
    assert error["field"] == "query.target"
    assert "its namespace and name cannot be one; want KIND/NAMESPACE/NAME" in error["reason"]
    assert "Geheim" not in answer.text.replace(answer.json()["instance"], "")


async def test_an_alert_that_does_not_say_where_is_told_to(client: httpx.AsyncClient):
    answer = await client.get(f"{CONTEXT}/alert/info/Watchdog")

    assert (answer.status_code, answer.json()["code"]) == (422, "names-no-object")
    assert "query.namespace" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("kubernetes/shop/pods", "labels=a&labels=b"),
        ("topology/shop/Deployment/checkout", "depth=1&depth=2"),
        ("metrics/shop/pods", "timeRange=5m&timeRange=1h"),
    ],
)
async def test_a_parameter_that_is_there_twice_is_refused(client: httpx.AsyncClient, path: str, query: str):
    answer = await client.get(f"{CONTEXT}/{path}?{query}")

    assert (answer.status_code, answer.json()["errors"][0]["reason"]) == (
        422,
        "given more than once; give it once",
    )
