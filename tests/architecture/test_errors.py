"""Every domain error of a service reaches a caller as a named problem, or is caught inside by design."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Mapping
from importlib import import_module
from types import ModuleType

import pytest

from tools.services import services

pytestmark = pytest.mark.requirement("API-BR-API-004", "HAPI-043", "HAPI-103")

CAUGHT_INSIDE: dict[str, str] = {
    "alerts: Refused": "domain/labels.py: becomes the refused alert's own result in the answer",
    "context_api: BadArguments": "routes/for_models.py: becomes the tool's error, which a model can mend",
    "context_api: Full": "steps/turns.py: becomes Busy, which says how many wait and when to come back",
    "context_api: QueryRefused": "adapters/live/prometheus.py and settings.py: the metric or the setting is named with it",
    "context_api: TooLarge": "routes/for_models.py: becomes the tool's error, which a model can mend",
    "context_api: UnknownTool": "routes/for_models.py: becomes the tool's error, which a model can mend",
    "holmesgpt_api: BadToolset": "domain/custom/document.py: becomes the configuration's fault, or withdraws a tool",
    "holmesgpt_api: Unfit": "adapters/abroad.py: becomes the tool's answer, which a model can mend",
    "holmesgpt_api: NotThere": "adapters/toolset_http.py: becomes the tool's answer",
    "holmesgpt_api: NotNow": "steps/conduct.py: the run is tried again while its time lasts",
    "notifications: DeliveryFailed": "steps/deliver.py: becomes the attempt's reason and the next try's time",
    "notifications: IllegalStep": "adapters/dispatch.py: another worker was first, so this one's word is only kept",
    "holmesgpt_api: ModelFailed": "steps/deepen.py: triage's verdict stands in, and says so by the error's word",
    "holmesgpt_api: Spent": "adapters/holmes.py: becomes ModelFailed, whose word says which budget it was",
    "holmesgpt_api: UnknownModel": "adapters/holmes.py: becomes ModelFailed; a replay's model is checked when it is asked for",
    "holmesgpt_api: Impossible": "steps/conduct.py: becomes the reason in the investigation's row",
}
"""`service: ErrorClass` to where it is caught, and what becomes of it."""


def everything_in(package: ModuleType) -> Iterator[ModuleType]:
    yield package
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        yield import_module(found.name)


def domain_errors(service: str) -> set[type[Exception]]:
    """The classes that are raised: those without subclasses of their own."""
    found = {
        thing
        for module in everything_in(import_module(f"services.{service}.domain"))
        for thing in vars(module).values()
        if isinstance(thing, type) and issubclass(thing, Exception) and thing.__module__ == module.__name__
    }
    return {
        error
        for error in found
        if not any(other is not error and issubclass(other, error) for other in found)
    }


def problems(service: str) -> Mapping[type[Exception], object]:
    """Every PROBLEMS table of the service's routes, as one."""
    tables = [
        vars(module)["PROBLEMS"]
        for module in everything_in(import_module(f"services.{service}.routes"))
        if "PROBLEMS" in vars(module)
    ]
    return {error: problem for table in tables for error, problem in table.items()}


@pytest.mark.parametrize("service", services())
def test_every_domain_error_is_mapped_or_caught_inside(service: str):
    mapped = problems(service)
    astray = [
        error.__name__
        for error in domain_errors(service)
        if not any(parent in mapped for parent in error.__mro__)
        and f"{service}: {error.__name__}" not in CAUGHT_INSIDE
    ]

    assert sorted(astray) == []


@pytest.mark.parametrize("entry", CAUGHT_INSIDE)
def test_what_is_caught_inside_exists_and_is_not_mapped_as_well(entry: str):
    service, _, name = entry.partition(": ")

    assert name in {error.__name__ for error in domain_errors(service)}
    assert name not in {error.__name__ for error in problems(service)}


@pytest.mark.parametrize("service", services())
def test_a_problem_is_named_by_one_code_in_kebab_case(service: str):
    codes = [str(getattr(problem, "code", "")) for problem in problems(service).values()]

    assert [code for code in codes if not code or code != code.lower() or "_" in code or " " in code] == []
