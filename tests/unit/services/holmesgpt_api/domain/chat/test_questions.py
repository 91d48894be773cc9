"""What people ask is told apart by what it is about; what is none of ours is not answered."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.holmesgpt_api.domain.chat.questions import EXAMPLES, MOST_WORDS, Topic, classify
from tests.support.children import REPOSITORY

pytestmark = pytest.mark.requirement("HAPI-006", "HAPI-008")

CORPUS = Path(REPOSITORY) / "tests/fixtures/chat/questions.txt"
NAMES = ["checkout", "Deployment", "shop", "orders-db-config", "ConfigMap", "data"]


def corpus() -> list[tuple[str, str]]:
    lines = [line for line in CORPUS.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    pairs = [line.split(" | ", 1) for line in lines]
    return [(topic, question) for topic, question in pairs]


@pytest.mark.parametrize(("topic", "question"), corpus())
def test_what_people_ask_is_told_apart(topic: str, question: str):
    found = classify(question, NAMES)

    assert (found.value if found else "none") == topic


def test_the_corpus_has_many_of_each_and_as_many_that_are_none_of_ours():
    topics = [topic for topic, _ in corpus()]

    assert {topic.value for topic in Topic} <= set(topics)
    assert topics.count("none") >= 50
    assert len(topics) - topics.count("none") >= 120


@pytest.mark.parametrize(("topic", "example"), EXAMPLES.items())
def test_what_is_offered_can_be_asked(topic: Topic, example: str):
    assert classify(example) is topic


def test_a_name_of_the_findings_is_known_and_a_strangers_is_not():
    assert classify("why is blueberry slow?", ["blueberry"]) is Topic.why
    assert classify("why is blueberry slow?") is None


def test_an_object_in_full_needs_no_introduction():
    assert classify("why does StatefulSet/data/blueberry-0 fail?") is Topic.why


def test_a_story_is_no_question():
    assert classify("why " * (MOST_WORDS + 1)) is None


@given(st.text(max_size=4_000))
def test_any_text_gets_an_answer_or_none(text: str):
    assert classify(text, NAMES) in {None, *Topic}
