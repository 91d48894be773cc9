"""Which cluster's Context API is asked is decided by what the request names, and by nothing else; a name that nobody
configured is never asked of another cluster.
"""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from libs.contracts.investigations import InvestigationRequest
from services.holmesgpt_api.domain.clusters import (
    LABEL,
    MOST,
    ONE_FOR_ALL,
    TOLD_AT_MOST,
    UNKNOWN_CLUSTER,
    UNNAMED,
    Clusters,
    ClusterUrls,
    Route,
    Why,
    no_result,
    placed,
    told,
    why_unknown,
)
from services.holmesgpt_api.domain.triage import conclude
from tests.support.investigations import CHECKOUT, claimed, found, request

pytestmark = pytest.mark.requirement("HAPI-179")

DEFAULT, EU, US = "http://context/", "http://context-eu/", "http://context-us/"
CLUSTERS = Clusters(DEFAULT, {"eu": EU, "us": US})
URLS: TypeAdapter[dict[str, Any]] = TypeAdapter(ClusterUrls)


def about(target: str | None = None, label: str | None = None) -> InvestigationRequest:
    fields: dict[str, Any] = {"labels": {LABEL: label} if label is not None else {}}
    if target is not None:
        fields["target"] = CHECKOUT.model_copy(update={"cluster": target}).model_dump()
    return request(**fields)


@pytest.mark.parametrize(
    ("asked", "route"),
    [
        (about(), Route(Why.default, DEFAULT)),
        (about(label=""), Route(Why.default, DEFAULT)),
        (about(target=UNNAMED), Route(Why.default, DEFAULT)),
        (about(label="eu"), Route(Why.label, EU, "eu")),
        (about(target=UNNAMED, label="eu"), Route(Why.label, EU, "eu")),
        (about(target="us"), Route(Why.target, US, "us")),
        (about(target="us", label="eu"), Route(Why.target, US, "us")),
        (about(label="lab"), Route(Why.label, None, "lab")),
        (about(target="lab", label="eu"), Route(Why.target, None, "lab")),
        (about(label="Eu"), Route(Why.label, None, "Eu")),
    ],
)
def test_the_target_decides_before_the_label_and_what_names_none_is_of_the_default_one(
    asked: InvestigationRequest, route: Route
):
    assert CLUSTERS.route(asked) == route


def test_the_default_one_has_its_name_where_it_is_one_of_the_named():
    clusters = Clusters(EU, {"eu": EU, "us": US})

    assert clusters.route(about()) == Route(Why.default, EU, "eu")
    assert clusters.addresses == [EU, US]


@pytest.mark.parametrize("asked", [about(), about(label="eu"), about(target="us")])
def test_where_none_are_configured_everything_is_asked_of_the_one_there_is_as_it_is(
    asked: InvestigationRequest,
):
    route = Clusters(DEFAULT).route(asked)
    verdict = conclude(found(), CHECKOUT, claimed(), "x")

    assert route == Route(Why.only, DEFAULT)
    assert placed(asked, route) is asked
    assert told(verdict, route) is verdict


def test_a_chats_cluster_is_known_from_its_investigation():
    assert CLUSTERS.of("eu") == Route(Why.session, EU, "eu")
    assert CLUSTERS.of(None) == Route(Why.default, DEFAULT)


def test_a_target_that_names_no_cluster_is_asked_about_under_the_routes_name():
    asked = about(target=UNNAMED, label="eu")
    there = placed(asked, CLUSTERS.route(asked)).target

    assert there == CHECKOUT.model_copy(update={"cluster": "eu"})
    assert placed(about(label="eu"), Route(Why.label, EU, "eu")).target is None


def test_what_is_asked_of_two_clusters_has_two_places_and_of_one_has_one():
    one, moved = Clusters(EU, {"eu": EU, "us": US}), Clusters(US, {"eu": EU, "us": US})

    assert one.route(about()).place == one.route(about(label="eu")).place == "eu"
    assert moved.route(about()).place == "us"
    unnamed = Clusters(DEFAULT, {"us": US}), Clusters(EU, {"us": US})
    assert [one.route(about()).place for one in unnamed] == [DEFAULT, EU]


@pytest.mark.parametrize("clusters", [Clusters(EU), Clusters(US), ONE_FOR_ALL])
def test_where_none_are_configured_there_is_one_place_whatever_is_asked(clusters: Clusters):
    assert {clusters.route(one).place for one in (about(), about(label="eu"), about(target="us"))} == {""}


def test_the_verdict_says_of_which_cluster_it_is_and_why():
    verdict = told(conclude(found(), CHECKOUT, claimed(), "x"), CLUSTERS.route(about(label="eu")))

    assert (verdict.context_used["cluster"], verdict.context_used["cluster_by"]) == ("eu", "alert-label")
    assert verdict.context_used["source"] == "context-api"


def test_which_clusters_there_are_is_told_to_who_may_read_everything():
    assert (
        why_unknown(CLUSTERS, "lab", ["*"])
        == "no Context API is configured for cluster lab; there are: eu, us"
    )
    assert why_unknown(CLUSTERS, "lab", ["shop"]) == "no Context API is configured for cluster lab"
    many = Clusters(DEFAULT, {f"c{number}": f"http://c{number}/" for number in range(TOLD_AT_MOST + 3)})
    assert why_unknown(many, "lab", ["*"]).endswith(" and 3 more")


@pytest.mark.parametrize("name", ["x" * 254, "<script>", "a b", "-", "password: hunter2"])
def test_a_label_that_is_no_clusters_name_is_not_repeated(name: str):
    assert name not in why_unknown(CLUSTERS, name, ["shop"])


def test_nothing_is_claimed_of_a_cluster_nobody_configured():
    verdict = no_result("triage", "no Context API is configured for cluster lab")

    assert (verdict.degraded_reason, verdict.degraded_detail) == (
        UNKNOWN_CLUSTER,
        "no Context API is configured for cluster lab",
    )
    assert verdict.summary.startswith("No result: no Context API is configured for cluster lab")
    assert (verdict.results.cause, verdict.results.target) == (None, None)
    assert verdict.results.not_looked_at == ["everything: no Context API is configured for cluster lab"]


@pytest.mark.parametrize(
    ("urls", "why"),
    [
        ({"-eu": EU}, "should match pattern"),
        ({"": EU}, "at least 1"),
        ({"eu": "context:8091"}, "URL scheme"),
        ({"eu": "ftp://context"}, "URL scheme"),
        ({UNNAMED: EU}, "what a target of no named cluster says"),
        ({"eu": "http://context", "us": "http://CONTEXT:80/"}, "two clusters have the same URL"),
        ({f"c{number}": f"http://c{number}" for number in range(MOST + 1)}, f"at most {MOST}"),
    ],
)
def test_a_mapping_that_cannot_be_meant_is_refused(urls: dict[str, str], why: str):
    with pytest.raises(ValidationError, match=why):
        URLS.validate_python(urls)
