from __future__ import annotations

from datetime import UTC, datetime
from types import ModuleType

import pytest
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request

from services.context_api.domain.excerpt import Wanted
from services.context_api.routes import bundle, context, for_models, older, tuning
from services.context_api.routes.inputs import (
    EACH_ONCE,
    Cursor,
    EvidenceRef,
    Onset,
    OwnNamespace,
    Pod,
    _about,
    _wanted,
    each_once,
    scope,
)

pytestmark = pytest.mark.requirement("API-BR-SEC-006", "API-BR-CAPI-005")


@pytest.mark.parametrize(
    ("kind", "word", "group"),
    [
        ("Pod", "Pod", None),
        ("Deployment.apps", "Deployment", "apps"),
        ("Route.route.openshift.io", "Route", "route.openshift.io"),
    ],
)
async def test_a_kind_in_a_path_may_carry_its_group(kind: str, word: str, group: str | None):
    about = await _about("shop", kind, "api", None)

    assert (about.kind, about.group, about.namespace, about.name) == (word, group, "shop", "api")


def test_a_path_without_namespace_says_so():
    assert scope("_cluster") is None
    assert scope("shop") == "shop"


@pytest.mark.parametrize(
    "moment", ["1999-12-31T23:59:59Z", "2200-01-01T00:00:01Z", "0001-01-01T00:00:00+10:00", "soon"]
)
def test_an_onset_that_cannot_be_is_refused(moment: str):
    with pytest.raises(ValidationError):
        TypeAdapter(Onset).validate_python(moment)


def test_an_onset_is_utc():
    assert TypeAdapter(Onset).validate_python("2026-01-01T10:00:00+02:00") == datetime(
        2026, 1, 1, 8, tzinfo=UTC
    )


@pytest.mark.parametrize(
    "evidence_id", ["ev-0123456789abcdef\n", "ev-0123456789ABCDEF", "ev-1", "../ev-0123456789abcdef", ""]
)
def test_an_evidence_id_has_one_form(evidence_id: str):
    with pytest.raises(ValidationError):
        TypeAdapter(EvidenceRef).validate_python(evidence_id)
    with pytest.raises(ValidationError):
        TypeAdapter(Cursor).validate_python(evidence_id)


@pytest.mark.parametrize("name", ["..", "_cluster", "a/b", "A", "a\n", "-a", "a b", "$(id)", "a" * 254])
def test_a_log_is_asked_for_by_plain_names(name: str):
    for what in (OwnNamespace, Pod):
        with pytest.raises(ValidationError):
            TypeAdapter(what).validate_python(name)


async def test_a_hundred_lines_are_asked_for_by_whoever_names_no_number():
    assert await _wanted() == Wanted(tail=100)


def asked(query: str) -> Request:
    return Request({"type": "http", "query_string": query.encode(), "headers": []})


@pytest.mark.parametrize("query", ["a=1&a=2", "a=1&b=2&a=1", "a=1&%61=2", "a&a", "sources=logs&a=&a="])
async def test_a_parameter_that_is_there_twice_is_refused_by_its_name(query: str):
    with pytest.raises(RequestValidationError) as refused:
        await each_once(asked(query))

    assert [fault["loc"] for fault in refused.value.errors()] == [("query", "a")]


@pytest.mark.parametrize("query", ["", "a=1", "a=1&b=1", "sources=logs&sources=metrics", "&&&", "a=1&A=2"])
async def test_parameters_that_are_there_once_are_taken(query: str):
    await each_once(asked(query))


@pytest.mark.parametrize("module", [bundle, context, for_models, older, tuning])
def test_every_router_of_the_service_refuses_a_repeated_parameter(module: ModuleType):
    assert EACH_ONCE in module.router.dependencies
