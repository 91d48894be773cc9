from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.context_api.adapters.recording.times import Newest

pytestmark = pytest.mark.requirement("API-BR-CAPI-006")


def moment(hour: int) -> datetime:
    return datetime(2026, 1, 1, hour, tzinfo=UTC)


def test_the_newest_time_of_any_object_is_kept():
    newest = Newest()
    newest.see_object(b'{"metadata":{"creationTimestamp":"2026-01-01T05:00:00Z"}}')
    newest.see_object(b'{"status":{"conditions":[{"lastTransitionTime":"2026-01-01T09:00:00Z"}]}}')
    newest.see_object(b'{"metadata":{"managedFields":[{"time":"2026-01-01T07:00:00Z"}]}}')

    assert newest.moment == moment(9)


def test_times_of_other_zones_are_compared_as_instants():
    newest = Newest()
    newest.see_object(b'{"startedAt":"2026-01-01T09:00:00Z"}')
    newest.see_object(b'{"startedAt":"2026-01-01T08:30:00-01:00"}')

    assert newest.moment == datetime(2026, 1, 1, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "name", ["notAfter", "renewalTime", "deletionTimestamp", "expirationTimestamp", "nextTime"]
)
def test_what_is_still_to_come_is_not_now(name: str):
    newest = Newest()
    newest.see_object(b'{"startedAt":"2026-01-01T01:00:00Z","%s":"2030-01-01T00:00:00Z"}' % name.encode())

    assert newest.moment == moment(1)


def test_a_log_tells_the_time_by_its_last_stamped_line():
    newest = Newest()
    newest.see_log(
        b"2026-01-01T03:00:00.5Z starting\n2026-01-01T04:00:00Z up\n  at trace\nend 2027-01-01T00:00:00Z\n"
    )

    assert newest.moment == moment(4)


def test_no_time_is_no_time():
    newest = Newest()
    newest.see_object(b'{"startedAt":"2026-99-99T99:99:99Z","a":"2026-01-01T00:00:00Z"}')
    newest.see_log(b"hello\n")
    newest.see(None)

    assert newest.moment is None


def test_a_time_that_stands_for_never_is_not_now():
    newest = Newest()
    newest.see_object(b'{"startedAt":"2026-01-01T01:00:00Z","finishedAt":"9999-12-31T23:59:59Z"}')

    assert newest.moment == moment(1)
