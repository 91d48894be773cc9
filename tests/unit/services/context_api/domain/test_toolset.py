"""The toolset document says where, what and in which order, and holds no secret."""

from __future__ import annotations

import fnmatch

import pytest
import yaml

from services.context_api.domain.tools import TOOLS
from services.context_api.domain.toolset import NAME, paths, render

pytestmark = pytest.mark.requirement("API-BR-CAPI-016")

BASE = "https://context.example:8443"


def toolset(base: str = BASE) -> dict:
    return yaml.safe_load(render(base))["toolsets"][NAME]


def test_a_model_may_read_and_nothing_else_and_only_what_the_table_names():
    (endpoint,) = toolset()["config"]["endpoints"]

    assert endpoint["methods"] == ["GET"]
    assert endpoint["hosts"] == [BASE]
    assert endpoint["paths"] == paths()
    assert all(path.startswith("/api/v1/context/") for path in paths())
    for wanted in ("causes/shop/Pod/x", "evidence/ev-0123456789abcdef", "evidence/shop/Pod/x", "logs/shop/x"):
        assert any(fnmatch.fnmatch(f"/api/v1/context/{wanted}", one) for one in paths())
    for other in (
        "/api/v1/context/bundle/stream",
        "/api/v1/context/bundle",
        "/api/v1/toolsets",
        "/mcp",
        "/docs",
    ):
        assert not any(fnmatch.fnmatch(other, one) for one in paths())


def test_the_token_stands_in_the_readers_environment():
    (endpoint,) = toolset()["config"]["endpoints"]

    assert endpoint["auth"] == {"type": "bearer", "token": "{{ env.KUBERNAUT_TOKEN }}"}


def test_the_model_is_told_causes_first_then_evidence_logs_and_topology_and_no_stream():
    words = toolset()["llm_instructions"]

    places = [words.index(f"{BASE}/api/v1/context/{one}") for one in
              ("causes/", "evidence/{id}", "evidence/{namespace}", "logs/", "topology/", "kubernetes/")]  # fmt: skip
    assert places == sorted(places)
    assert "stream" not in words
    assert len(words) < 2_500


def test_words_are_those_of_the_tools():
    assert TOOLS["find_causes"].words in toolset()["llm_instructions"]


@pytest.mark.parametrize("base", [f"{BASE}/", BASE])
def test_a_slash_too_many_changes_nothing(base: str):
    assert toolset(base) == toolset(BASE)


def test_instructions_are_lines_that_people_can_read():
    assert "llm_instructions: |" in render(BASE)
