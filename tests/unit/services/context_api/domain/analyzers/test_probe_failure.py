"""Failing probes: which one, what it asks, and why it may be the probe that is wrong."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import probe_failure
from services.context_api.domain.observation import Depth
from tests.support.kube import ago, container, crashing, deployment, ended, event, log, pod, pods_in, running
from tests.support.triage import said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")

READY = {"httpGet": {"path": "/ready", "port": 8081}, "periodSeconds": 5}
ALIVE = {
    "httpGet": {"path": "/live", "port": 8080},
    "initialDelaySeconds": 5,
    "periodSeconds": 5,
    "failureThreshold": 2,
}


def app(**probes):
    return container(ports=[{"containerPort": 8080, "name": "http"}], **probes)


def unready():
    return [running(minutes=20, ready=False)]


def test_a_readiness_probe_is_told_with_what_it_asks_and_what_it_got():
    objects = deployment(
        "api",
        containers=[app(readinessProbe={**READY, "httpGet": {"path": "/ready", "port": 8080}})],
        statuses=unready(),
    )
    told = event(
        pods_in(objects)[0],
        "Unhealthy",
        "Readiness probe failed: HTTP probe failed with statuscode: 500",
        field="spec.containers{app}",
    )

    (found,) = seen(probe_failure, objects, told)

    assert said([found]) == [("Deployment/shop/api", "ReadinessProbeFailed")]
    assert "GET :8080/ready" in found.text
    assert "statuscode: 500" in found.text
    assert found.depth is Depth.process


def test_a_probe_that_asks_a_port_nobody_listens_on_is_itself_the_cause():
    objects = deployment("api", containers=[app(readinessProbe=READY)], statuses=unready())
    first = pods_in(objects)[0]
    told = event(
        first,
        "Unhealthy",
        "Readiness probe failed: dial tcp 10.0.0.1:8081: connect: connection refused",
        field="spec.containers{app}",
    )

    (found,) = seen(probe_failure, objects, told, logs=[log(first, "server listening on :8080")])

    assert found.depth is Depth.mechanism
    assert "asks port 8081" in found.text
    assert "listens on 8080" in found.text


def test_a_probe_port_named_like_no_port_of_the_container_is_told():
    objects = deployment(
        "api", containers=[app(readinessProbe={"tcpSocket": {"port": "web"}})], statuses=unready()
    )

    assert "no port of the container is named `web`" in seen(probe_failure, objects)[0].text


def test_a_liveness_probe_that_kills_before_the_program_can_have_started_is_told_with_its_times():
    status = crashing(code=137, restarts=6)
    status["lastState"]["terminated"] = ended(137, minutes=2, lived=0.3)
    objects = deployment("api", containers=[app(livenessProbe=ALIVE)], statuses=[status])
    told = event(
        pods_in(objects)[0],
        "Killing",
        "Container app failed liveness probe, will be restarted",
        field="spec.containers{app}",
        type_="Normal",
    )

    (found,) = seen(probe_failure, objects, told)

    assert found.reason == "LivenessProbeFailed"
    assert "allows 15 s" in found.text
    assert "after 18 s" in found.text


def killed(lived: float = 0.3, restarts: int = 6, **spec):
    """A Deployment whose container a liveness probe kills, and the kubelet's word for it."""
    status = crashing(code=137, restarts=restarts)
    status["lastState"]["terminated"] = ended(137, minutes=2, lived=lived)
    objects = deployment("api", containers=[app(livenessProbe=ALIVE, **spec)], statuses=[status])
    told = event(
        pods_in(objects)[0], "Killing", "Container app failed liveness probe, will be restarted",
        field="spec.containers{app}", type_="Normal",
    )  # fmt: skip
    return objects, told


@pytest.mark.parametrize(
    ("line", "takes"),
    [
        (
            "2026-11-18 09:20:01 INFO Started OrdersApplication in 74.35 seconds (process running for 75.1)",
            "74 s",
        ),
        ("ready, startup took 21000 ms", "21 s"),
        ("Server initialized after 2 minutes", "120 s"),
    ],
)
def test_how_long_starting_takes_is_said_beside_what_the_probe_allows(line: str, takes: str):
    objects, told = killed(lived=3)

    (found,) = seen(probe_failure, objects, told, logs=[log(pods_in(objects)[0], line)])

    assert found.depth is Depth.mechanism
    assert (
        f"allows 15 s after the start (initialDelaySeconds 5, 2 × 5 s), while starting takes {takes.replace('120 s', '2 min')}"
        in found.text
    )


def test_a_replica_that_became_ready_tells_how_long_starting_takes():
    objects, told = killed(lived=3)
    other = pod("api-7c9d5b6f8-q1w2e", containers=objects[0]["spec"]["template"]["spec"]["containers"], owner=objects[1],
                statuses=[running(minutes=30)], conditions=[{"type": "Ready", "status": "True", "lastTransitionTime": ago(29)}])  # fmt: skip

    (found,) = seen(probe_failure, objects, other, told)

    assert "while starting takes 60 s (pod api-7c9d5b6f8-q1w2e" in found.text


@pytest.mark.parametrize(
    ("spec", "line"),
    [({}, "Started in 4.2 seconds"), ({"startupProbe": ALIVE}, "Started in 74 seconds"), ({}, "order 7 handled in 74 seconds")],
    ids=["starts in time", "a startup probe holds it back", "another duration"],
)  # fmt: skip
def test_a_program_that_starts_in_time_and_dies_later_is_not_told_to_start_slowly(spec, line: str):
    objects, told = killed(lived=9, **spec)

    (found,) = seen(probe_failure, objects, told, logs=[log(pods_in(objects)[0], line)])

    assert "starting takes" not in found.text
    assert found.depth is Depth.process


def test_a_rollout_that_changed_the_probe_is_told():
    old = app(readinessProbe={**READY, "httpGet": {"path": "/ready", "port": 8080}})

    (found,) = seen(
        probe_failure,
        deployment(
            "api", containers=[app(readinessProbe=READY)], before=[old], rolled_out=15, statuses=unready()
        ),
    )

    assert "`8080` → `8081`" in found.text


def test_not_ready_for_long_without_any_event_is_enough():
    assert said(
        seen(probe_failure, pod("web-0", containers=[app(readinessProbe=READY)], statuses=unready()))
    ) == [("Pod/shop/web-0", "ReadinessProbeFailed")]


@pytest.mark.parametrize(
    "status",
    [running(minutes=0.2, ready=False), running(minutes=500), crashing()],
    ids=["just started", "ready", "crashing for another reason"],
)
def test_starting_ready_and_crashing_containers_are_no_probe_failures(status):
    assert seen(probe_failure, pod("web-0", containers=[app(readinessProbe=READY)], statuses=[status])) == []


def test_a_probe_event_from_before_the_container_became_ready_is_history():
    healthy = pod("web-0", containers=[app(readinessProbe=READY, livenessProbe=ALIVE)])
    old = [
        event(
            healthy,
            "Unhealthy",
            "Readiness probe failed: connection refused",
            first=700,
            last=690,
            field="spec.containers{app}",
        )
    ]
    old.append(
        event(
            healthy,
            "Killing",
            "Container app failed liveness probe, will be restarted",
            first=700,
            last=700,
            field="spec.containers{app}",
        )
    )

    assert seen(probe_failure, healthy, old) == []


@pytest.mark.parametrize(
    ("line", "ready", "since", "found"),
    [
        ("INFO Failed to acquire lock, it is held by broker-0", True, 60 * 24, False),
        ("INFO store opened", True, 60 * 24, True),
        ("INFO Failed to acquire lock, it is held by broker-0", False, 60 * 24, True),
        ("INFO Failed to acquire lock, it is held by broker-0", True, 20, True),
    ],
    ids=["waits for its turn", "does not", "nobody has it", "was ready before"],
)
def test_the_probe_of_a_pod_that_waits_for_its_turn_fails_as_it_is_meant_to(
    line: str, ready: bool, since: float, found: bool
):
    objects = deployment("broker", containers=[app(readinessProbe=READY)])
    for one in pods_in(objects)[ready:]:
        one["status"]["containerStatuses"] = unready()
        one["status"]["conditions"] = [{"type": "Ready", "status": "False", "lastTransitionTime": ago(since)}]
    second = pods_in(objects)[1]
    told = event(
        second, "Unhealthy", "Readiness probe failed: connection refused", field="spec.containers{app}"
    )

    observed = seen(probe_failure, objects, told, logs=[log(second, line)])

    assert bool(observed) is found


def test_a_pod_that_waits_for_its_turn_and_is_killed_for_it_is_told():
    objects = deployment("broker", containers=[app(livenessProbe=ALIVE)])
    second = pods_in(objects)[1]
    second["status"]["containerStatuses"] = [
        running(minutes=1, ready=False, restarts=7, last=ended(137, minutes=1))
    ]
    second["status"]["conditions"] = [
        {"type": "Ready", "status": "False", "lastTransitionTime": ago(60 * 24)}
    ]
    told = event(
        second, "Killing", "Container app failed liveness probe, will be restarted",
        field="spec.containers{app}", type_="Normal",
    )  # fmt: skip

    found = seen(probe_failure, objects, told, logs=[log(second, "INFO lock is held by broker-0")])

    assert [o.reason for o in found] == ["LivenessProbeFailed"]


@pytest.mark.parametrize(
    ("minutes", "log_line", "found"),
    [(4, "INFO loading", []), (14, "INFO loading", ["StartupProbeFailed"]), (4, "ERROR no route to host", ["StartupProbeFailed"])],
    ids=["in time", "late", "it complains"],
)  # fmt: skip
def test_a_startup_probe_that_fails_while_it_still_gives_time_is_no_finding(
    minutes: float, log_line: str, found: list[str]
):
    slow = app(startupProbe={"httpGet": {"path": "/up", "port": 8080}, "periodSeconds": 10, "failureThreshold": 60})  # fmt: skip
    status = running(minutes=minutes, ready=False)
    status["started"] = False
    one = pod("web-0", containers=[slow], statuses=[status], age=minutes, unready_since=minutes)
    told = event(
        one, "Unhealthy", "Startup probe failed: connection refused", first=minutes, field="spec.containers{app}"
    )  # fmt: skip

    assert [o.reason for o in seen(probe_failure, one, told, logs=[log(one, log_line)])] == found


@pytest.mark.parametrize(
    ("minutes", "restarts", "found"),
    [(40, 1, []), (5, 1, ["LivenessProbeFailed"]), (40, 3, ["LivenessProbeFailed"])],
    ids=["once, and runs since", "just now", "again and again"],
)
def test_a_single_kill_is_over_once_the_container_runs_for_as_long_as_a_crash_loop_is_remembered(
    minutes: float, restarts: int, found: list[str]
):
    status = running(minutes=minutes, restarts=restarts, last=ended(137, minutes=minutes))
    one = pod("web-0", containers=[app(livenessProbe=ALIVE)], statuses=[status])
    told = event(
        one, "Killing", "Container app failed liveness probe, will be restarted", first=minutes, last=minutes,
        field="spec.containers{app}", type_="Normal",
    )  # fmt: skip

    assert [o.reason for o in seen(probe_failure, one, told)] == found
