"""What somebody made of an object, in words: before and after where that is recorded, else what is there now."""

from __future__ import annotations

from typing import Any

import pytest

from services.context_api.domain.edits import Change, changes_within
from services.context_api.domain.scene import Scene
from tests.support.kube import applied, config_map, edit, moment, snapshot, thing

pytestmark = pytest.mark.requirement("API-BR-CAPI-004", "API-BR-CAPI-007")


def within_the_hour(*objects: Any) -> list[Change]:
    return list(changes_within(Scene(snapshot(*objects)), moment(60), moment(0)))


def test_an_edit_is_told_with_what_stood_there_before():
    before = config_map("api", data={"POOL": "40"})
    now = config_map("api", data={"POOL": "4"}, annotations=applied(before), edits=[edit(20, "data/POOL")])

    (found,) = within_the_hour(now)

    assert (found.made, found.by, found.at) == (False, "kubectl-edit", moment(20))
    assert "POOL" in found.words[0]
    assert "`40`" in found.words[0]
    assert "`4`" in found.words[0]


def test_of_an_edit_without_a_before_is_told_what_its_fields_say_now():
    policy = thing("TrafficPolicy", "strict", api="mesh.example.com/v1", edits=[edit(20, "spec/mode")], spec={"mode": "STRICT"})  # fmt: skip

    (found,) = within_the_hour(policy)

    assert found.words == ("spec.mode changed, now `STRICT`",)
    assert list(found.values) == ["STRICT"]


def test_a_new_object_is_told_by_what_it_asks_for():
    (found,) = within_the_hour(thing("TrafficPolicy", "strict", api="mesh.example.com/v1", age=10, edits=[edit(10, "spec/mode")], spec={"mode": "STRICT"}))  # fmt: skip

    assert found.made
    assert "mode `STRICT`" in " ".join(found.words)


def test_what_was_edited_earlier_or_belongs_to_a_controllers_work_is_no_change():
    old = config_map("old", data={"A": "1"}, edits=[edit(90, "data/A")])
    owner = thing("TrafficPolicy", "strict", api="mesh.example.com/v1")
    owned = thing("ConfigMap", "owned", owner=owner, age=10, data={"A": "1"}, edits=[edit(10, "data/A")])

    assert within_the_hour(old, owner, owned) == []


def test_a_secrets_values_are_not_told():
    secret = thing("Secret", "login", data={}, edits=[edit(10, "data/password")])

    (found,) = within_the_hour(secret)

    assert "password" in found.words[0]
    assert "`" not in found.words[0].replace("``", "")
