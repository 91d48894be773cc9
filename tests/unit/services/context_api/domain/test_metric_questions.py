from __future__ import annotations

import re

import pytest

from services.context_api.domain.analyzers import saturation, volume_full
from services.context_api.domain.metric_questions import THROTTLED, metric_questions

pytestmark = pytest.mark.requirement("API-BR-CAPI-006")


def test_every_question_is_limited_to_the_namespaces_asked_for():
    for question in metric_questions(["shop", "data"]):
        selectors = re.findall(r"\{[^}]*\}", question.query)
        assert selectors
        assert all('namespace=~"shop|data"' in selector for selector in selectors)


def test_without_namespaces_every_namespace_is_meant():
    assert all('namespace!=""' in question.query for question in metric_questions())


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
    ],
)
def test_the_analyzers_recognise_the_query_by_these_words(name: str, words: tuple[str, ...]):
    """`saturation` and `volume_full` tell by the query's text what a value means."""
    query = next(question.query for question in metric_questions() if question.name == name)

    assert all(word in query for word in words)


def test_braces_and_brackets_are_balanced():
    for question in metric_questions(["shop"]):
        for opening, closing in ("{}", "[]", "()"):
            assert question.query.count(opening) == question.query.count(closing)


def test_no_more_is_asked_than_is_judged():
    assert THROTTLED == saturation.THROTTLED
    assert saturation.FULL > 0.9
    assert volume_full.FULL > 0.5
