"""A request's toolsets choose among our tools; what HolmesGPT would do on this machine is not offered."""

from __future__ import annotations

import pytest

from services.holmesgpt_api.domain.toolsets import OFFERED, Toolsets, UnknownToolset
from services.holmesgpt_api.engine.asking import CAUSES, EVIDENCE, LOGS, QUESTIONS

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
    Toolsets().check(names)

    assert Toolsets().tools(names) == tools


@pytest.mark.requirement("HAPI-079")
@pytest.mark.parametrize("name", ["internet", "docker", "bash", "", "Kubernetes"])
def test_what_is_not_offered_is_refused_by_naming_what_is(name: str):
    with pytest.raises(
        UnknownToolset, match="available: kubernetes, kubernetes/logs, prometheus, context-api"
    ):
        Toolsets().check(["kubernetes", name])


def test_an_operator_switches_toolsets_off():
    chosen = Toolsets.chosen(["prometheus", "internet"], None)

    assert (chosen.enabled, chosen.default) == (("prometheus",), ("prometheus",))
    with pytest.raises(UnknownToolset):
        chosen.check(["kubernetes"])
    assert chosen.tools(["kubernetes"]) == []


def test_a_name_nobody_knows_in_an_operators_list_is_refused():
    with pytest.raises(UnknownToolset, match="no toolset kubernetes-typo"):
        Toolsets.chosen(["kubernetes-typo"], None)
    with pytest.raises(UnknownToolset, match="no toolset kubernetes"):
        Toolsets.chosen(["prometheus"], ["kubernetes"])
