"""No byte of what a caller may not read is in any answer; and a campaign that could not notice would be noticed."""

from __future__ import annotations

import gzip
import io
import tarfile
from typing import Any

import pytest

from services.context_api.steps import ask, views
from tests.isolation.campaign import Kind, Outcome, round_of
from tests.isolation.document import ROUNDS, Round, read, written
from tests.isolation.operations import CALLERS, ROUTES, SILENT, Caller
from tests.support.canaries import CLUSTER, NOBODY, WORDS, Owner
from tests.support.redis import RedisServer

pytestmark = [
    pytest.mark.requirement(
        "API-BR-CAPI-018", "API-BR-CAPI-017", "API-BR-SEC-004", "INT-BR-QUAL-009", "HAPI-178"
    ),
    pytest.mark.xdist_group("isolation"),
]

WARM, COLD = Kind(600.0), Kind(0.05)


def faults(outcome: Outcome) -> list[str]:
    return [*outcome.leaks[:5], *outcome.broken[:5]]


async def test_two_tenants_are_told_nothing_of_each_other_from_a_warm_cache():
    outcome = await round_of(1, 2_000, WARM)

    assert faults(outcome) == []
    assert set(outcome.asked) == set(ROUTES)
    # Without words of their own in the answers, none of others' would be missed.
    assert {route for route in ROUTES if not outcome.own[route]} <= SILENT
    assert outcome.answered.total() > 800


async def test_two_tenants_are_told_nothing_of_each_other_by_answers_that_are_found_anew():
    outcome = await round_of(2, 500, COLD)

    assert faults(outcome) == []
    assert outcome.words > 500


@pytest.mark.needs("redis-server")
async def test_two_tenants_are_told_nothing_of_each_other_by_replicas_that_share_a_cache(
    redis_server: RedisServer,
):
    outcome = await round_of(3, 500, Kind(600.0, redis_server.url))

    assert faults(outcome) == []
    assert outcome.words > 500


async def test_an_application_that_shows_everything_to_everybody_is_noticed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(views, "view", lambda snapshot, may_read: snapshot)

    assert (await round_of(4, 200, WARM)).leaks


async def test_a_cache_that_mixes_up_callers_is_noticed(monkeypatch: pytest.MonkeyPatch):
    made = views._view

    def under_one_name(key: str, rights: str, *given: Any) -> views.View:
        seen = made(key, rights, *given)
        return views.View(seen.snapshot, seen.graph, "the same", "the same")

    monkeypatch.setattr(views, "_view", under_one_name)

    assert (await round_of(5, 300, WARM)).leaks


async def test_a_gate_that_lets_everybody_in_is_no_leak_while_the_view_is_narrow(
    monkeypatch: pytest.MonkeyPatch,
):
    async def let_in(self: ask.Desk, caller: Any, namespace: Any, cluster: Any, limit: Any) -> views.View:
        return await self.view(caller, cluster, limit)

    monkeypatch.setattr(ask.Desk, "readable", let_in)

    outcome = await round_of(6, 200, WARM)

    assert outcome.leaks == []
    assert outcome.statuses[404] > 0


async def test_an_archive_that_mixes_up_tenants_is_noticed():
    assert (await round_of(7, 200, WARM, careless=True)).leaks


def test_words_are_found_in_what_is_packed():
    word = WORDS.word("orders", "a test")
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo(f"a/{word}.json"))

    assert set(WORDS.told(data.getvalue())) == {word}
    assert set(WORDS.told(gzip.compress(f'{{"a": "{word}"}}'.encode()))) == {word}
    assert set(WORDS.told(b"nothing")) == set()


def test_what_a_caller_may_see_is_worked_out_from_its_namespaces_and_its_tenant():
    globs = Caller("x", "acme", ("o*", "?ail"))

    assert globs.may_see(Owner("orders"))
    assert globs.may_see(Owner("mail", "acme"))
    assert not any(globs.may_see(o) for o in (Owner("bills"), Owner("orders", "umbra"), Owner(CLUSTER)))
    assert not any(caller.may_see(Owner(NOBODY)) for caller in CALLERS)


def test_the_long_campaign_is_as_long_as_promised_and_goes_on_where_it_was():
    outcome = Outcome(seconds=2.0)
    outcome.asked["causes"], outcome.answered["causes"], outcome.own["causes"] = 7_500, 4_000, 12_345
    row = Round(3, 7_500, 600.0, shared=False).row(outcome)

    document = written({3: row})

    assert sum(one.operations for one in ROUNDS) == 100_000
    assert len({one.seed for one in ROUNDS}) == len(ROUNDS)
    assert read(document) == {3: row}
    assert "7,500 operations: 4,000 answered, 12,345 words of callers' own told, 0 answers" in document
    assert "19 of 20 rounds are still to come" in document
