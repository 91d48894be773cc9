"""Scaling to zero: latent, and with a name behind it."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import scaled_to_zero
from tests.support.kube import (
    Doc,
    ago,
    applied,
    container,
    deployment,
    edit,
    log,
    moment,
    pods_in,
    service,
    template,
    thing,
)
from tests.support.triage import causes, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")


def test_scaling_to_zero_is_latent_and_names_who_did_it():
    (found,) = seen(
        scaled_to_zero,
        deployment("api", replicas=0, edits=[edit(30, "spec/replicas", by="kubectl-scale")]),
        deployment("web"),
    )

    assert found.latent
    assert "kubectl-scale" in found.text


def test_an_earlier_revision_without_its_deployment_is_nobodys_scaling():
    _, replica_set = deployment("api", replicas=0)

    assert seen(scaled_to_zero, replica_set) == []


def parked(minutes: float = 30, *, asked: int | None = 2):
    """As `kubectl scale --replicas=0` leaves it: zero has no owner, the controller reported soon after."""
    report = {**edit(minutes, "status/replicas", by="kube-controller-manager"), "subresource": "status"}
    first = edit(60 * 24, "spec/selector", by="kubectl-client-side-apply")
    objects = deployment("api", replicas=0, edits=[first, report])
    if asked is not None:
        objects[0]["metadata"]["annotations"] |= applied({"spec": {"replicas": asked}})
    return objects


def test_a_scaling_that_left_no_name_is_dated_by_the_controllers_report_and_says_what_was_asked_for():
    (found,) = seen(scaled_to_zero, parked())

    assert found.onset == moment(30)
    assert "2 → 0" in found.text
    assert "(by" not in found.text


def test_without_apply_nothing_is_said_of_before():
    (found,) = seen(scaled_to_zero, parked(asked=None))

    assert "→" not in found.text


def test_what_was_made_with_zero_replicas_was_never_scaled():
    (found,) = seen(scaled_to_zero, parked(60 * 24, asked=0))

    assert found.onset is None
    assert "since" not in found.text


def test_a_suspended_job_is_latent_and_a_running_one_is_none():
    held = thing("Job", "load", api="batch/v1", spec={"suspend": True, "template": {"spec": {}}})
    runs = thing("Job", "store", api="batch/v1", spec={"template": {"spec": {}}})

    found = seen(scaled_to_zero, held, runs)

    assert [(str(o.about), o.reason, o.latent) for o in found] == [("Job/shop/load", "Suspended", True)]


def scaler(
    active: str, reason: str, ready: tuple[str, str] | None = None, annotations: dict[str, str] | None = None
) -> Doc:
    """A platform's autoscaler of Deployment api, of whatever kind."""
    states = {"Active": (active, reason), **({"Ready": ready} if ready is not None else {})}
    conditions = [{"type": k, "status": s, "reason": r, "message": "no load", "lastTransitionTime": ago(30)} for k, (s, r) in states.items()]  # fmt: skip
    return thing("PodAutoscaler", "api", api="autoscaling.example.com/v1", annotations=annotations,
                 spec={"scaleTargetRef": {"kind": "Deployment", "name": "api"}}, status={"conditions": conditions})  # fmt: skip


@pytest.mark.parametrize("ready", [None, ("True", ""), ("False", "NoTraffic")])
def test_what_its_scaler_lets_rest_is_as_it_should_be(ready: tuple[str, str] | None):
    answer = causes(parked(), scaler("False", "NoTraffic", ready), target="Deployment/shop/api")

    assert answer.ranked == []
    assert seen(scaled_to_zero, parked(), scaler("False", "NoTraffic", ready)) == []


@pytest.mark.parametrize(
    "own",
    [
        scaler("True", "Active"),
        scaler("False", "Idle", ("False", "CannotReadTriggers")),
        scaler("False", "Idle", annotations={"scaler.example.com/paused": "true"}),
    ],
    ids=["active", "blind", "paused"],
)
def test_a_scaler_that_does_not_do_its_work_excuses_nothing(own: Doc):
    assert len(seen(scaled_to_zero, parked(), own)) == 1


def test_what_somebody_misses_does_not_rest():
    caller = deployment("web")
    logs = [log(pods_in(caller)[0], "ERROR GET http://api/v1/things: connection refused")]

    assert len(seen(scaled_to_zero, parked(), service("api"), caller, scaler("False", "NoTraffic"), logs=logs)) == 1  # fmt: skip


def copies(note: dict[str, str], *, by_hand: bool = True):
    """A cron job that was suspended by hand, with annotations of the same hand or of somebody else's."""
    spec = {"suspend": True, "schedule": "0 2 * * *", "jobTemplate": {"spec": {"template": template({}, [container()])}}}  # fmt: skip
    suspended = edit(60 * 24, "spec/suspend")
    noted = edit(60 * 24 * 2, "spec/schedule", by="helm")
    keys: dict[str, object] = {f"f:{key}": {} for key in note}
    (suspended if by_hand else noted)["fieldsV1"]["f:metadata"] = {"f:annotations": keys}
    return thing("CronJob", "copy", api="batch/v1", age=60 * 24 * 9, annotations=note, spec=spec, edits=[noted, suspended])  # fmt: skip


WHY = {"example.com/suspended-because": "archive closed, the last copy is kept for good"}


def test_what_was_suspended_with_a_note_saying_why_is_no_cause_of_an_alert_about_itself():
    assert causes(copies(WHY), target="CronJob/shop/copy").ranked == []


@pytest.mark.parametrize(
    "made",
    [
        copies({}),
        copies(WHY, by_hand=False),
        copies({"example.com/team": "keepers of old deeds"}),
        copies({"example.com/why": "closed"}),
    ],
    ids=["no note", "somebody else's note", "a note about something else", "a word"],
)
def test_without_such_a_note_it_is(made):
    (found,) = causes(made, target="CronJob/shop/copy").ranked

    assert found.reason == "Suspended"


def at_rest(*, missed: bool):
    """A workload at zero with a note of the same hand, a Service before it, and a caller that may miss it."""
    by_hand = edit(60 * 24, "spec/replicas")
    by_hand["fieldsV1"]["f:metadata"] = {"f:annotations": {"f:example.com/season": {}}}
    parts = deployment("press", replicas=0, edits=[by_hand])
    parts[0]["metadata"]["annotations"] = {"example.com/season": "closed until the next harvest"}
    web = deployment("web")
    line = "ERROR GET http://press:80/jobs failed: connection refused" if missed else "INFO GET / 200"
    logs = [log(p, "\n".join(f"{ago(9 - i)} {line}" for i in range(6))) for p in pods_in(web)]
    return [parts, service("press"), web], logs


@pytest.mark.parametrize("missed", [False, True], ids=["nobody asks", "somebody does"])
def test_what_rests_with_a_note_is_a_cause_only_where_somebody_misses_it(missed: bool):
    objects, logs = at_rest(missed=missed)

    answer = causes(*objects, target="Deployment/shop/web", logs=logs)

    assert ("Deployment/shop/press" in [str(c.target) for c in answer.ranked]) is missed


DAY = 60 * 24


@pytest.mark.parametrize(
    ("scaled", "began", "named"),
    [(DAY * 40, 10, False), (30, 10, True), (DAY * 40, DAY * 40, True)],
    ids=["long before the alert", "just before", "the alert is as old"],
)
def test_what_was_scaled_long_before_an_alert_about_it_did_not_begin_it(
    scaled: float, began: float, named: bool
):
    press = deployment("press", replicas=0, age=DAY * 90, edits=[edit(scaled, "spec/replicas")])

    answer = causes(press, target="Deployment/shop/press", onset=moment(began))

    assert bool(answer.ranked) is named


@pytest.mark.parametrize("when", [None, "2999-01-01T00:00:00Z", -1])
def test_of_what_nobody_knows_when_it_was_scaled_and_nobody_misses_no_cause_is_made(when: object):
    press = deployment("press", replicas=0)
    for made in press:
        made["metadata"]["creationTimestamp"] = when

    assert causes(press, target="Deployment/shop/press", onset=moment(10)).ranked == []


def test_what_was_scaled_long_before_and_is_missed_is_a_cause():
    web = deployment("web")
    line = "ERROR GET http://press:80/jobs failed: connection refused"
    logs = [log(p, "\n".join(f"{ago(9 - i)} {line}" for i in range(6))) for p in pods_in(web)]
    press = deployment("press", replicas=0, age=DAY * 90, edits=[edit(DAY * 40, "spec/replicas")])

    answer = causes(press, service("press"), web, target="Deployment/shop/press", onset=moment(10), logs=logs)

    assert [c.reason for c in answer.ranked] == ["ScaledToZero"]


def test_a_cron_job_that_was_suspended_long_before_is_missed_late():
    answer = causes(copies({}), target="CronJob/shop/copy", onset=moment(10))

    assert [c.reason for c in answer.ranked] == ["Suspended"]
