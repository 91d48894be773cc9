"""Who changed what, when, from what to what."""

from __future__ import annotations

import json

import pytest

from services.context_api.domain.changes import (
    FieldChange,
    applied_changes,
    data_changes,
    field_paths,
    first_seen_change,
    last_applied,
    last_edit,
    spec_changes,
    status_written,
    writer_of,
)
from services.context_api.domain.redact import GONE
from tests.support.kube import applied, config_map, edit, kube, moment, thing

pytestmark = pytest.mark.requirement("API-BR-CAPI-007")


def test_the_newest_edit_counts_and_its_paths_are_read():
    config = config_map("c", edits=[edit(100, "data/a", by="helm"), edit(10, "data/b")])

    found = last_edit(kube(config))

    assert found
    assert (found.at, found.by, found.paths) == (moment(10), "kubectl-edit", ("data.b",))


def test_status_reports_controllers_and_creation_are_no_edits():
    status = {**edit(5, "status/x"), "subresource": "status"}
    reported = thing("X", "x", edits=[status, edit(4, "spec/x", by="kube-controller-manager")])
    created = thing("X", "y", age=60, edits=[edit(60, "spec/x")])

    assert last_edit(kube(reported)) is None
    assert last_edit(kube(created)) is None
    assert first_seen_change(kube(created)) == moment(60)


def test_paths_name_list_entries_by_their_keys():
    fields: dict = {"f:spec": {"f:containers": {'k:{"name":"app"}': {".": {}, "f:image": {}}}}, "f:data": {}}

    assert sorted(field_paths(fields)) == ["data", "spec.containers[app].image"]
    assert list(field_paths({"f:a": {"k:broken": {"f:b": {}}}})) == ["a[broken].b"]


def test_changed_lines_of_a_file_are_paired_by_their_setting():
    before = {"app.conf": "# head\nport = 1\nmode = a\n"}
    after = {"app.conf": "# head\nmode = a\nport = 2\nextra = x\n"}

    assert data_changes(before, after) == [
        FieldChange("app.conf", "port = 1", "port = 2"),
        FieldChange("app.conf", "", "extra = x"),
    ]


def test_changes_are_told_as_before_and_after():
    changes = data_changes({"a": "1", "b": "2"}, {"a": "3", "c": "4"})

    assert [str(c) for c in changes] == ["a: `1` → `3`", "b: removed `2`", "c: added `4`"]
    assert str(FieldChange("x", "", "")) == "x changed"


def test_specs_are_compared_by_the_names_of_their_entries():
    old = {"containers": [{"name": "a", "image": "x:1"}, {"name": "b", "image": "y"}], "replicas": 1}
    new = {
        "containers": [
            {"name": "b", "image": "y"},
            {"name": "a", "image": "x:2", "env": [{"name": "K", "value": "v"}]},
        ],
        "replicas": 1,
    }

    assert {str(c) for c in spec_changes(old, new)} == {
        "containers[a].image: `x:1` → `x:2`",
        "containers[a].env[K]: added `v`",
    }


def test_secret_values_are_not_shown():
    changes = data_changes({"password": "old"}, {"password": "new"}) + spec_changes(
        {"env": [{"name": "API_TOKEN", "value": "a"}]}, {"env": [{"name": "API_TOKEN", "value": "b"}]}
    )

    assert all(c.before in ("", GONE) and c.after in ("", GONE) for c in changes)


def test_last_applied_is_read_and_junk_is_not():
    assert last_applied(kube(config_map("c", annotations=applied({"data": {"a": "1"}})))) == {
        "data": {"a": "1"}
    }
    for junk in ("not json", "[1]", "x" * 600_000, json.dumps("s")):
        assert (
            last_applied(
                kube(config_map("c", annotations={"kubectl.kubernetes.io/last-applied-configuration": junk}))
            )
            == {}
        )


def test_endless_nesting_ends():
    deep: dict = {}
    here = deep
    for _ in range(200):
        here["f:a"] = {}
        here = here["f:a"]

    assert list(field_paths(deep)) == []
    assert isinstance(spec_changes({"a": deep}, {"a": {}}), list)


def test_who_wrote_a_field_last_is_known_by_its_owner_alone():
    scaled = thing("X", "x", edits=[edit(50, "spec/replicas", by="a"), edit(20, "spec/other", by="b")])

    found = writer_of(kube(scaled), "spec.replicas")

    assert found
    assert (found.at, found.by) == (moment(50), "a")
    assert writer_of(kube(scaled), "spec.gone") is None


def test_the_newest_status_report_dates_what_a_controller_did():
    reports = [{**edit(m, "status/x"), "subresource": "status"} for m in (40, 12)]

    assert status_written(kube(thing("X", "x", edits=[*reports, edit(5, "spec/x")]))) == moment(12)
    assert status_written(kube(thing("X", "x"))) is None


def test_an_edit_is_told_beside_what_was_applied_before_and_the_rest_is_not():
    obj = kube(
        thing(
            "NetworkPolicy",
            "p",
            api="networking.k8s.io/v1",
            annotations=applied({"spec": {"a": {"x": "1"}, "b": "1"}}),
            spec={"a": {"x": "2"}, "b": "2", "c": "new"},
            edits=[edit(9, "spec/a")],
        )
    )
    found = last_edit(obj)
    assert found

    assert applied_changes(obj, found) == [FieldChange("spec.a.x", "1", "2")]


def rule(team: str, port: int):
    return {"from": [{"namespaceSelector": {"matchLabels": {"team": team}}}], "ports": [{"port": port}]}


def test_lists_without_names_are_compared_place_by_place_while_they_are_as_long():
    before, after = {"ingress": [rule("core", 80)]}, {"ingress": [rule("payments", 80)]}

    assert spec_changes(before, after) == [
        FieldChange("ingress[0].from[0].namespaceSelector.matchLabels.team", "core", "payments")
    ]


def test_a_rule_that_came_or_went_is_told_with_the_whole_list():
    before, after = {"ingress": [rule("core", 80)]}, {"ingress": [rule("core", 80), rule("b", 81)]}

    (change,) = spec_changes(before, after)

    assert change.path == "ingress"


def test_a_field_that_was_given_another_name_is_told_and_a_default_is_not():
    before = {"sets": [{"name": "a", "config": {"buffer_size": "15%"}}]}
    after = {"sets": [{"name": "a", "config": {"buffer_sizes": "25%"}, "policy": "Always"}]}
    changed = edit(20, "spec/sets")
    obj = kube(
        thing(
            "Search",
            "titles",
            api="example.org/v1",
            spec=after,
            annotations=applied({"spec": before}),
            edits=[changed],
        )
    )
    made = last_edit(obj)

    assert made is not None
    assert [str(c) for c in applied_changes(obj, made)] == [
        "spec.sets[a].config.buffer_size: removed `15%`",
        "spec.sets[a].config.buffer_sizes: added `25%`",
    ]
