from __future__ import annotations

import re

import pytest

from services.context_api.domain.analyzers import saturation, volume_full
from services.context_api.domain.metric_questions import AHEAD, THROTTLED, metric_questions

pytestmark = pytest.mark.requirement("API-BR-CAPI-006")


def test_every_question_is_limited_to_the_namespaces_asked_for():
    for question in metric_questions(["shop", "data"]):
        selectors = re.findall(r"\{[^}]*\}", question.query)
        assert selectors
        assert all('namespace=~"shop|data"' in selector for selector in selectors)


def test_without_namespaces_every_namespace_is_meant():
    of_nodes = {"node-filesystems"}

    assert all('namespace!=""' in q.query for q in metric_questions() if q.name not in of_nodes)
    assert of_nodes <= {q.name for q in metric_questions()}


def test_nodes_are_not_asked_about_when_only_some_namespaces_may_be():
    assert not [q for q in metric_questions(["shop"]) if "node_" in q.query]


def test_names_are_distinct_and_fit_for_files():
    names = [question.name for question in metric_questions()]

    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z-]+", name) for name in names)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cpu-throttled", ("cfs_throttled", "/")),
        ("memory-near-limit", ("memory_working_set",)),
        ("cpu-near-limit", ("cpu_usage_seconds", "rate(")),
        ("volumes-used", ("kubelet_volume_stats", "used", "/")),
        ("volumes-inodes", ("kubelet_volume_stats", "inodes_used", "/")),
        ("memory-rising", ("memory_working_set", " and ")),
        ("node-filesystems", ("node_filesystem_avail_bytes", " / node_filesystem_size_bytes")),
        ("burn-rates", ("burn_?rate",)),
    ],
)
def test_the_analyzers_recognise_the_query_by_these_words(name: str, words: tuple[str, ...]):
    """`saturation`, `volume_full`, `node_filesystem` and `error_budget` tell by the query's text what a value means."""
    query = next(question.query for question in metric_questions() if question.name == name)

    assert all(word in query for word in words)


def test_braces_and_brackets_are_balanced():
    for question in metric_questions(["shop"]):
        for opening, closing in ("{}", "[]", "()"):
            assert question.query.count(opening) == question.query.count(closing)


def test_no_more_is_asked_than_is_judged():
    assert THROTTLED == saturation.THROTTLED
    assert AHEAD.total_seconds() == saturation.SOON
    assert saturation.FULL > 0.9
    assert volume_full.FULL > 0.5
