"""Severities of every house style are understood; what is not understood is unknown, never harmless."""

import pytest

from libs.contracts.alerts import Severity
from services.alerts.domain.severity import WORDS, normalise

pytestmark = pytest.mark.requirement("INT-BR-AP-003")


def level(word, names=("severity",), words=WORDS):
    return normalise({"severity": word}, names=names, words=words)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("critical", Severity.critical),
        ("Critical", Severity.critical),
        ("page", Severity.critical),
        ("Sev1", Severity.critical),
        ("SEV-1", Severity.critical),
        ("P0", Severity.critical),
        ("warning", Severity.warning),
        ("high", Severity.warning),
        ("medium", Severity.warning),
        ("P1", Severity.warning),
        ("sev 2", Severity.warning),
        ("info", Severity.info),
        ("low", Severity.info),
        ("P3", Severity.info),
    ],
)
def test_words_of_every_house_style_are_normalised(word, expected):
    found, decision = level(word)

    assert found is expected
    assert decision.reason == "label:severity"
    assert word in decision.detail


def test_a_word_nobody_knows_is_unknown_and_passed_through():
    found, decision = level("katastrophal")

    assert found is Severity.unknown
    assert (decision.reason, decision.detail) == ("unknown-word", "severity=katastrophal")


def test_no_severity_at_all_is_unknown():
    found, decision = normalise({"alertname": "x"}, names=("severity",))

    assert (found, decision.reason) == (Severity.unknown, "no-severity-label")


def test_operators_add_their_own_words():
    found, _ = level("katastrophal", words={**WORDS, "katastrophal": Severity.critical})

    assert found is Severity.critical


def test_the_first_label_that_says_anything_decides():
    found, decision = normalise({"level": "page", "severity": "  "}, names=("severity", "level"))

    assert (found, decision.reason) == (Severity.critical, "label:level")
