from __future__ import annotations

from datetime import timedelta

import pytest

from tests.testbed.clock import older

pytestmark = pytest.mark.requirement("INT-BR-TEST-005")

DAY = timedelta(days=1)


def test_every_timestamp_becomes_older_by_the_same():
    before = b'{"creationTimestamp":"2026-03-01T00:00:05Z","x":[{"time":"2027-01-01T12:00:00Z"}]}'

    assert older(before, DAY) == (
        b'{"creationTimestamp":"2026-02-28T00:00:05Z","x":[{"time":"2026-12-31T12:00:00Z"}]}'
    )


def test_fractions_of_a_second_stay_as_they_are():
    assert older(b'"2026-03-01T00:00:05.123456Z"', DAY) == b'"2026-02-28T00:00:05.123456Z"'


@pytest.mark.parametrize(
    "words",
    [
        b'{"text":"written at 2026-03-01T00:00:05Z"}',
        b'{"applied":"{\\"until\\":\\"2026-03-01T00:00:05Z\\"}"}',
        b'{"eventTime":null}',
        b'{"day":"2026-03-01"}',
        b'{"annotations":{"kubectl.kubernetes.io/restartedAt":"2026-03-01T00:00:05Z"}}',
    ],
    ids=["a sentence", "an annotation's JSON", "nothing", "a day", "a template's restart"],
)
def test_what_somebody_wrote_is_left_alone(words: bytes):
    assert older(words, DAY) == words
