from __future__ import annotations

import pytest

from cli.watch.memory import AGAIN_S, PATIENCE_S, Memory

pytestmark = pytest.mark.requirement("INT-BR-AP-021@3.2")


def memory(**settled: bool) -> Memory[str]:
    """One open thing of each name, looked at at time 0."""
    made = Memory[str]()
    for name, done in settled.items():
        made.remember(name, "mark", f"{name} seen", is_open=True, settled=done, now=0)
    return made


def test_what_is_new_or_changed_is_due_and_what_is_neither_is_not():
    known = memory(a=True, b=True)

    assert known.due([("a", "mark"), ("b", "another mark"), ("c", "mark")], 0) == ["b", "c"]


def test_what_is_not_settled_is_due_now_and_then_until_patience_ends():
    known = memory(a=False)

    assert known.due([("a", "mark")], AGAIN_S / 2) == []
    assert known.due([("a", "mark")], AGAIN_S) == ["a"]
    known.remember("a", "mark", "a seen", is_open=True, settled=False, now=PATIENCE_S - 1)
    assert known.waiting(PATIENCE_S - 1)
    assert known.due([("a", "mark")], PATIENCE_S + AGAIN_S) == []
    assert not known.waiting(PATIENCE_S)


def test_a_change_begins_the_patience_anew():
    known = memory(a=False)
    known.remember("a", "another", "a seen", is_open=True, settled=False, now=PATIENCE_S)

    assert known.due([("a", "another")], PATIENCE_S + AGAIN_S) == ["a"]


def test_an_open_thing_that_is_no_longer_listed_is_missing():
    known = memory(a=True)
    known.remember("over", "mark", None, is_open=False, settled=True, now=0)

    assert known.missing([("b", "mark")]) == ["a"]


def test_what_was_seen_before_is_given_back():
    known = memory(a=False)

    assert known.remember("a", "mark", "new", is_open=True, settled=True, now=1) == "a seen"
    assert known.sight("a") == "new"
    assert known.sights() == ["new"]


def test_what_does_not_exist_any_more_is_dropped():
    known = memory(a=False)
    known.drop("a")

    assert "a" not in known
    assert known.sight("a") is None


def test_it_never_holds_more_than_it_may_and_forgets_what_has_ended_first():
    known = Memory[str](at_most=3)
    known.remember("open", "mark", None, is_open=True, settled=False, now=0)
    for number in range(100):
        known.remember(str(number), "mark", None, is_open=False, settled=True, now=number)

    assert len(known) == 3
    assert "open" in known


def test_what_is_still_listed_is_forgotten_last():
    known = Memory[str](at_most=2)
    for name in ("a", "b"):
        known.remember(name, "mark", None, is_open=False, settled=True, now=0)
    known.due([("a", "mark")], 0)
    known.remember("c", "mark", None, is_open=False, settled=True, now=0)

    assert "a" in known
    assert "b" not in known


def test_even_when_everything_is_open_it_is_bounded():
    known = Memory[str](at_most=2)
    for name in "abc":
        known.remember(name, "mark", None, is_open=True, settled=False, now=0)

    assert len(known) == 2
