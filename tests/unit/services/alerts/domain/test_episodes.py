"""Whatever order, repetition or grouping news arrives in, the same episodes come of it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.alerts.domain.episodes import Episode, Event, Known, State, changes, merge

pytestmark = pytest.mark.requirement("INT-BR-WH-008", "INT-BR-WH-010", "INT-BR-AP-021@3.2")

START = datetime(2026, 11, 21, 5, tzinfo=UTC)


def saying(
    *, start=0, resolved=False, ends=None, seen=0, fingerprint="f", text="a", receiver="r", tenant="t"
):
    return Episode(
        tenant=tenant,
        fingerprint=fingerprint,
        starts_at=START + timedelta(minutes=start),
        resolved=resolved,
        ends_at=None if ends is None else START + timedelta(minutes=ends),
        first_seen=START + timedelta(minutes=seen),
        last_seen=START + timedelta(minutes=seen),
        receiver=receiver,
        labels={"alertname": text},
        annotations={"summary": text},
        generator_url="",
    )


MINUTES = st.integers(0, 4)
OF_ONE_EPISODE = st.builds(
    saying,
    resolved=st.booleans(),
    ends=st.none() | MINUTES,
    seen=MINUTES,
    text=st.sampled_from("ab"),
    receiver=st.sampled_from("rs"),
)
OF_SOME_SERIES = st.builds(
    saying,
    start=st.integers(0, 2),
    resolved=st.booleans(),
    ends=st.none() | MINUTES,
    seen=MINUTES,
    text=st.sampled_from("ab"),
    fingerprint=st.sampled_from("fg"),
    tenant=st.sampled_from("tu"),
)


@settings(deadline=None)
@given(OF_ONE_EPISODE, OF_ONE_EPISODE)
def test_merging_is_commutative(one, other):
    assert merge(one, other) == merge(other, one)


@settings(deadline=None)
@given(OF_ONE_EPISODE, OF_ONE_EPISODE, OF_ONE_EPISODE)
def test_merging_is_associative(one, two, three):
    assert merge(merge(one, two), three) == merge(one, merge(two, three))


@settings(deadline=None)
@given(OF_ONE_EPISODE, OF_ONE_EPISODE)
def test_merging_is_idempotent(one, other):
    assert merge(one, one) == one
    assert merge(merge(one, other), other) == merge(one, other)


def test_different_episodes_are_never_merged():
    with pytest.raises(ValueError, match="different episodes"):
        merge(saying(start=0), saying(start=1))


class Register:
    """What a store of episodes holds after one batch after another."""

    def __init__(self):
        self.known = {}
        self.newest = {}

    def take(self, batch):
        for one in batch:
            self.newest[one.series] = max(one.starts_at, self.newest.get(one.series, one.starts_at))
        spoken = {one.key for one in batch}
        series = {one.series for one in batch}
        relevant = {
            key: known
            for key, known in self.known.items()
            if key in spoken or (known.episode.series in series and known.state is State.firing)
        }
        found = changes(batch, relevant, self.newest)
        assert len({change.episode.key for change in found}) == len(found)
        for change in found:
            self.known[change.episode.key] = Known(change.episode, change.state)
        return found


@settings(deadline=None)
@given(st.data(), st.lists(OF_SOME_SERIES, max_size=8))
def test_any_order_grouping_and_repetition_gives_the_same_episodes(data, sayings):
    straight, shuffled = Register(), Register()
    for one in sayings:
        straight.take([one])

    order = data.draw(
        st.permutations(
            sayings + data.draw(st.lists(st.sampled_from(sayings or [saying()]))) if sayings else sayings
        )
    )
    while order:
        size = data.draw(st.integers(1, len(order)))
        shuffled.take(order[:size])
        order = order[size:]

    assert shuffled.known == straight.known


@settings(deadline=None)
@given(st.lists(OF_SOME_SERIES, min_size=1, max_size=10))
def test_only_the_newest_episode_of_an_alert_can_be_firing(sayings):
    register = Register()
    for one in sayings:
        register.take([one])

    for known in register.known.values():
        newest = register.newest[known.episode.series]
        assert known.state is not State.firing or known.episode.starts_at == newest


def after(*batches):
    register = Register()
    return register, [register.take(list(batch)) for batch in batches]


def test_a_new_alert_fires():
    _, [[change]] = after([saying()])

    assert (change.event, change.state, change.is_new) == (Event.fired, State.firing, True)


def test_a_repeat_refreshes_when_it_was_last_seen():
    register, [_, [change]] = after([saying(seen=0)], [saying(seen=4)])

    assert change.event is Event.repeated
    (known,) = register.known.values()
    assert known.episode.last_seen == START + timedelta(minutes=4)
    assert known.episode.first_seen == START


def test_a_repeat_brings_newer_annotations():
    register, _ = after([saying(seen=0, text="80%")], [saying(seen=1, text="90%")])

    (known,) = register.known.values()
    assert known.episode.annotations == {"summary": "90%"}


def test_resolved_beats_firing_at_the_same_start_even_when_firing_comes_later():
    register, [_, [ended], [late]] = after(
        [saying()], [saying(resolved=True, ends=2, seen=2)], [saying(seen=3)]
    )

    assert (ended.event, ended.reason) == (Event.resolved, "sender-resolved")
    assert (late.event, late.reason) == (Event.repeated, "resolved-beats-firing")
    (known,) = register.known.values()
    assert known.state is State.resolved
    assert known.episode.ends_at == START + timedelta(minutes=2)


def test_an_alert_never_seen_firing_can_be_resolved():
    _, [[change]] = after([saying(resolved=True, ends=1)])

    assert (change.event, change.state) == (Event.resolved, State.resolved)
    assert change.reason == "resolved-without-being-seen-firing"


def test_a_newer_start_is_a_new_episode_and_ends_the_older_one():
    register, [_, found] = after([saying(start=0)], [saying(start=1)])

    assert {change.event for change in found} == {Event.fired, Event.superseded}
    assert [known.state for known in register.known.values()] == [State.expired, State.firing]


def test_an_older_start_is_history_only():
    _, [_, [change]] = after([saying(start=1)], [saying(start=0)])

    assert (change.event, change.state, change.is_new) == (Event.history, State.expired, True)


def test_the_end_of_a_superseded_episode_is_still_recorded():
    register, _ = after([saying(start=0)], [saying(start=1)], [saying(start=0, resolved=True, ends=1)])

    assert [known.state for known in register.known.values()] == [State.resolved, State.firing]


def test_an_episode_we_took_for_ended_fires_again_when_its_sender_says_so():
    one = saying()

    [change] = changes([saying(seen=3)], {one.key: Known(one, State.expired)}, {one.series: one.starts_at})

    assert (change.event, change.state) == (Event.reopened, State.firing)
