"""Only what is durable is called accepted, and every outcome is counted."""

import json
from collections import Counter
from datetime import timedelta

import pytest

from libs.auth.permissions import Role
from libs.auth.principal import principal_for
from services.alerts.domain.errors import AllRefused, Malformed, NotCommitted, Unreadable
from services.alerts.steps.receive import Receive

pytestmark = pytest.mark.requirement("INT-BR-WH-003", "INT-BR-WH-007", "INT-BR-WH-015")

SENDER = principal_for(
    "am", tenant="t1", roles=[Role.ingest], namespaces=None, method="api-key", credential="k"
)


class FakeInbox:
    """Fulfils `domain.ports.Inbox` in memory."""

    def __init__(self, *, full=False):
        self.taken, self.full = [], full

    async def put(self, delivery):
        if self.full:
            raise NotCommitted("inbox-full", retry_after=timedelta(seconds=1))
        self.taken.append(delivery)


def alert(**changes):
    return {"status": "firing", "labels": {"a": "b"}, "startsAt": "2026-11-21T05:00:00Z", **changes}


def body(*alerts, **changes):
    return json.dumps({"receiver": "hook", "groupKey": "g", "alerts": alerts, **changes}).encode()


class Bench:
    def __init__(self, **options):
        self.inbox = FakeInbox(**options)
        self.counted: Counter[str] = Counter()
        self.receive = Receive(self.inbox, lambda outcome, alerts: self.counted.update({outcome: alerts}))


async def test_a_body_is_handed_over_as_it_was_sent_under_its_senders_tenant():
    bench = Bench()

    reading = await bench.receive(body(alert(), alert()), SENDER)

    (delivery,) = bench.inbox.taken
    assert (delivery.tenant, delivery.sender, delivery.body) == ("t1", "am", body(alert(), alert()))
    assert len(reading.alerts) == 2
    assert bench.counted == {"accepted": 2}


async def test_the_same_news_has_the_same_key():
    bench = Bench()

    for said in (body(alert(annotations={"v": "1"})), body(alert(annotations={"v": "2"}))):
        await bench.receive(said, SENDER)

    first, second = bench.inbox.taken
    assert first.idem == second.idem


async def test_refused_alerts_are_counted_beside_those_accepted():
    bench = Bench()

    await bench.receive(body(alert(), alert(status="x")), SENDER)

    assert bench.counted == {"accepted": 1, "rejected": 1}


async def test_a_batch_refused_as_a_whole_is_not_stored():
    bench = Bench()

    with pytest.raises(AllRefused) as refused:
        await bench.receive(body(alert(status="x"), 7), SENDER)

    assert [field for field, _ in refused.value.refusals] == ["body.alerts.0.status", "body.alerts.1"]
    assert bench.inbox.taken == []
    assert bench.counted == {"rejected": 2}


@pytest.mark.parametrize(("sent", "error"), [(b"{", Malformed), (b"{}", Unreadable)])
async def test_what_cannot_be_read_is_counted_as_a_request(sent, error):
    bench = Bench()

    with pytest.raises(error):
        await bench.receive(sent, SENDER)

    assert bench.counted == {"unreadable": 1}


async def test_what_is_not_committed_is_not_accepted():
    bench = Bench(full=True)

    with pytest.raises(NotCommitted):
        await bench.receive(body(alert()), SENDER)

    assert bench.counted == {"not-committed": 1}


async def test_an_empty_batch_needs_no_commit():
    bench = Bench()

    reading = await bench.receive(body(), SENDER)

    assert (reading.results, bench.inbox.taken) == ([], [])


async def test_older_callers_need_name_no_receiver():
    bench = Bench()

    await bench.receive(body(alert(), receiver=""), SENDER, needs_receiver=False)

    assert len(bench.inbox.taken) == 1
    with pytest.raises(Unreadable):
        await bench.receive(body(alert(), receiver=""), SENDER)
