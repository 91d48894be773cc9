"""A request's toolsets choose among our tools; what HolmesGPT would do on this machine is not offered."""

from __future__ import annotations

import pytest

from services.holmesgpt_api.domain.custom.bound import bound
from services.holmesgpt_api.domain.toolsets import OFFERED, Toolsets, UnknownToolset
from services.holmesgpt_api.engine.asking import CAUSES, EVIDENCE, LOGS, QUESTIONS
from tests.support.toolsets import document, http, listed

pytestmark = pytest.mark.requirement("HAPI-012", "HAPI-031")


def test_every_toolset_gives_tools_that_there_are():
    for one in OFFERED.values():
        assert set(one.tools) <= set(QUESTIONS)
        assert one.tools


@pytest.mark.parametrize(
    ("names", "tools"),
    [
        ([], [CAUSES, EVIDENCE, LOGS]),
        (["kubernetes"], [CAUSES, EVIDENCE, LOGS]),
        (["prometheus"], [CAUSES, EVIDENCE]),
        (["kubernetes/logs"], [LOGS]),
        (["kubernetes/logs", "prometheus"], [CAUSES, EVIDENCE, LOGS]),
    ],
)
def test_names_select_tools(names: list[str], tools: list[str]):
    Toolsets().check(names, tenant="default")

    assert Toolsets().tools(names) == tools


@pytest.mark.requirement("HAPI-079")
@pytest.mark.parametrize("name", ["internet", "docker", "bash", "", "Kubernetes"])
def test_what_is_not_offered_is_refused_by_naming_what_is(name: str):
    with pytest.raises(
        UnknownToolset, match="available: kubernetes, kubernetes/logs, prometheus, context-api"
    ):
        Toolsets().check(["kubernetes", name], tenant="default")


def test_an_operator_switches_toolsets_off():
    chosen = Toolsets.chosen(["prometheus", "internet"], None)

    assert (chosen.enabled, chosen.default) == (("prometheus",), ("prometheus",))
    with pytest.raises(UnknownToolset):
        chosen.check(["kubernetes"], tenant="default")
    assert chosen.tools(["kubernetes"]) == []


def test_a_name_nobody_knows_in_an_operators_list_is_refused():
    with pytest.raises(UnknownToolset, match="no toolset kubernetes-typo"):
        Toolsets.chosen(["kubernetes-typo"], None)
    with pytest.raises(UnknownToolset, match="no toolset kubernetes"):
        Toolsets.chosen(["prometheus"], ["kubernetes"])


CMDB = "https://cmdb.example.com"


def test_custom_ones_come_on_top_of_what_a_request_gets_of_ours():
    chosen = Toolsets.chosen(None, None, [listed(http(CMDB))])

    chosen.check(["cmdb"], tenant="default")
    assert chosen.tools(["cmdb"]) == chosen.tools([])
    assert chosen.tools(["cmdb", "kubernetes/logs"]) == [LOGS]
    assert [one.name for one in chosen.beside(["cmdb"], tenant="default")] == ["cmdb"]
    assert chosen.beside([], tenant="default") == []


def test_a_custom_one_may_be_among_those_of_requests_that_name_none():
    chosen = Toolsets.chosen(None, ["prometheus", "cmdb"], [listed(http(CMDB))])

    assert chosen.tools([]) == [CAUSES, EVIDENCE]
    assert [one.name for one in chosen.beside([], tenant="default")] == ["cmdb"]


def test_a_tenant_learns_nothing_of_what_it_may_not_use():
    chosen = Toolsets.chosen(None, ["kubernetes", "cmdb"], [listed(http(CMDB, tenants=["shop"]))])

    with pytest.raises(UnknownToolset) as refused:
        chosen.check(["cmdb"], tenant="data")
    assert str(refused.value).partition("available:")[2].count("cmdb") == 0
    assert chosen.beside(["cmdb"], tenant="data") == chosen.beside([], tenant="data") == []
    assert "cmdb" in chosen.available("shop")


def test_one_that_is_withdrawn_is_not_given_and_cannot_be_named():
    chosen = Toolsets.chosen(None, None, [bound(document(http(CMDB)), [], ())])

    with pytest.raises(UnknownToolset):
        chosen.check(["cmdb"], tenant="default")
    assert chosen.beside(["cmdb"], tenant="default") == []
