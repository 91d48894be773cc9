"""Evidence: an id that follows from content, bounded bodies, nothing secret."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.context_api.domain import evidence
from services.context_api.domain.events import read_event
from services.context_api.domain.redact import GONE
from tests.support.kube import crashing, deployment, event, kube, moment, pod, snapshot

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-SEC-014")

HERE = snapshot(deployment("api"))
POD = kube(pod("web-0"))


def test_the_hash_is_of_the_body_in_canonical_json():
    item = evidence.item(evidence.field(POD, "status.phase", {"b": 1, "a": [2]}, "x", moment(5)), HERE)

    canonical = json.dumps(item.body, sort_keys=True, separators=(",", ":"))
    assert item.content_hash == hashlib.sha256(canonical.encode()).hexdigest()
    assert item.freshness_s == 300
    assert str(item.target) == "Pod/shop/web-0"


def test_the_id_follows_from_content_and_not_from_time_or_count():
    told = event(pod("web-0"), "BackOff", "m", count=3)
    later = event(pod("web-0"), "BackOff", "m", count=9, last=0)
    other = event(pod("web-0"), "BackOff", "another", count=3)

    ids = [evidence.item(evidence.event(POD, read_event(kube(e))), HERE).id for e in (told, later, other)]

    assert ids[0] == ids[1] != ids[2]


def test_another_object_with_the_same_content_has_another_id():
    facts = [evidence.field(kube(pod(n)), "status", crashing(), "x") for n in ("a", "b")]

    assert len({evidence.item(f, HERE).id for f in facts}) == 2


def test_long_and_deep_bodies_are_cut_and_say_so():
    deep: dict = {}
    here = deep
    for _ in range(50):
        here["x"] = {}
        here = here["x"]
    body = evidence.bounded({"text": "y" * 5000, "many": list(range(100)), "deep": deep})

    assert body["text"].endswith("[3000 characters cut]")
    assert body["many"][-1] == "… [60 more]"
    assert "deeper levels cut" in json.dumps(body, ensure_ascii=False)


def test_every_line_of_an_excerpt_is_in_its_evidence_and_decides_its_id():
    lines = [f"line {n}" for n in range(100)]

    def made(*said: str):
        return evidence.item(evidence.excerpt(POD, "app", said, previous=False, asked={}), HERE)

    assert made(*lines).body["lines"] == lines
    assert made(*lines).id != made("other", *lines[1:]).id
    assert made(*lines).summary == "100 lines of the log of app: line 99"
    assert made().summary == "0 lines of the log of app"


def test_values_of_telling_names_are_gone_wherever_they_stand():
    body = evidence.bounded(
        {
            "env": [{"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "MODE", "value": "fast"}],
            "token": "hunter2",
        }
    )

    assert body == {
        "env": [{"name": "DB_PASSWORD", "value": GONE}, {"name": "MODE", "value": "fast"}],
        "token": GONE,
    }


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
        max_leaves=20,
    )
)
def test_any_recorded_value_becomes_evidence(value):
    item = evidence.item(evidence.field(POD, "x", value, "y"), HERE)

    assert item.model_dump_json()


def test_an_object_with_an_impossible_name_has_no_target():
    assert (
        evidence.target_of(
            kube({"kind": "Pod", "metadata": {"name": "no such name!", "namespace": "x"}}), "local"
        )
        is None
    )
    assert evidence.slim(POD, "status.phase", "spec.nodeName", "a.b") == {
        "status.phase": "Running",
        "spec.nodeName": "node-1",
    }
