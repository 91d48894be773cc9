"""A presale's pods took the room of pods that work in spare time; those wait until there is room again, as on each such evening."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.incidents.curves import about, whole
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter
from tests.incidents.manifests import kube_prometheus
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="KubeDeploymentReplicasMismatch of refiner, half of whose pods gave their room to the presale's; they are of the class for work in spare time",
    half=Half.tuned,
    story=(
        "The opera's front was scaled from three to six pods for the presale at five. The nodes were full of refiner, whose priority class is -100 and meant to give way; the scheduler ended three"
        " of its six pods, and their successors wait. It was so on the two Fridays before. Old recordings are refined more slowly meanwhile, and nobody waits for them. The front sells without"
        " errors. A new hall plan was put in at noon; prices was restarted once last week."
    ),
    sources=[
        "https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/",
        "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubedeploymentreplicasmismatch/",
        "https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/FAQ.md#how-does-cluster-autoscaler-work-with-pod-priority-and-preemption",
    ],
    labels=kube_prometheus("KubeDeploymentReplicasMismatch", namespace="spare", deployment="refiner"),
    annotations={"summary": "Deployment has not matched the expected number of replicas.", "description": "Deployment spare/refiner has not matched the expected number of replicas for longer than 15 minutes."},
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
)  # fmt: skip


def play(stage: Stage) -> None:
    stage.apply([
        *system(),
        {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "spare-time"}, "value": -100, "globalDefault": False, "preemptionPolicy": "Never",
         "description": "For work without a date: takes what is left over and gives way to everything else."},
        deployment("opera/front", container("front", "opera/front:14.2.0", port=8080, ready="/ready", alive="/alive", cpu="1", memory=("512Mi", "1Gi"), env={"SEATS_URL": "http://seats.opera.svc", "PRICES_URL": "http://prices.opera.svc"}), replicas=3), service("opera/front", 80, 8080),
        deployment("opera/seats", container("seats", "opera/seats:6.0.3", port=8080, ready="/ready", env={"DB_HOST": "halls.opera.svc"}, mounts={"plan": "/etc/seats"}), pod={"volumes": [{"name": "plan", "configMap": {"name": "hall-plan"}}]}, replicas=3), service("opera/seats", 80, 8080),
        config_map("opera/hall-plan", {"plan.yaml": "stalls: 24\ncircle: 11\n"}),
        deployment("opera/prices", container("prices", "opera/prices:3.3.1", port=8080, ready="/ready")), service("opera/prices", 80, 8080),
        stateful_set("opera/halls", container("postgres", "postgres:17.6", port=5432, memory=("1Gi", "2Gi"))), service("opera/halls", 5432, headless=True),
        deployment("spare/refiner", container("refiner", "spare/refiner:0.19.0", cpu="1", memory=("512Mi", "1Gi"), env={"JOURNAL": "redis://journal.spare.svc:6379", "CHUNK": "60s"}), replicas=6, pod={"priorityClassName": "spare-time", "terminationGracePeriodSeconds": 20}),
        stateful_set("spare/journal", container("redis", "redis:8.2.1", port=6379)), service("spare/journal", 6379, headless=True),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=8, hours=5)
    stage.recovered(f"opera/{stage.pods('opera/prices')[1]['metadata']['name']}", restarts=1, code=143, lived_s=640000)  # fmt: skip
    stage.clock.until(datetime(2026, 11, 20, 12, 3, tzinfo=UTC))
    stage.edit("configmaps/opera/hall-plan", lambda body: body["data"].update({"plan.yaml": "stalls: 24\ncircle: 12\n"}))  # fmt: skip
    stage.clock.until(datetime(2026, 11, 20, 16, 46, tzinfo=UTC))
    stage.heartbeat()
    stage.kubectl("scale", "deployment/front", "--replicas=6", "-n", "opera")
    stage.cluster.until(
        "room is made",
        lambda: sum(bool(p["metadata"].get("deletionTimestamp")) for p in stage.pods("spare/refiner-")) >= 2,
    )
    stage.calm(unfinished=["spare/refiner"])
    stage.placed("opera/front-", 6)
    stage.calm(unfinished=["spare/refiner"])
    stage.wait(minutes=24)
    stage.heartbeat()
    _logs(stage)
    _metrics(stage)
    stage.fire(minutes_ago=8)


def _logs(stage: Stage) -> None:
    for pod in stage.pods("spare/refiner-"):
        if pod["spec"].get("nodeName"):
            chatter(stage, f"spare/{pod['metadata']['name']}", [
                "<%Y-%m-%d %H:%M:%S> INFO  refiner: recording <10000-99999> chunk <1-90> refined in <40-70>s",
                "<%Y-%m-%d %H:%M:%S> WARN  refiner: lease of recording <10000-99999> has run out, its worker is gone; taken over at chunk <1-90>",
                "<%Y-%m-%d %H:%M:%S> INFO  refiner: recording <10000-99999> chunk <1-90> refined in <40-70>s",
            ], minutes=55)  # fmt: skip
    chatter(stage, "spare/journal", ["1:M <%d %b %Y %H:%M:%S.%3> * Background saving terminated with success"], count=6, minutes=55)  # fmt: skip
    chatter(stage, "opera/front-", [
        '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"POST /orders","status":201,"ms":<50-140>}',
        '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"GET /halls/main","status":200,"ms":<8-30>}',
        '{"level":"error","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"client went away before the answer","err":"context canceled"}',
    ], count=40, minutes=22)  # fmt: skip
    chatter(stage, "opera/seats", ["INFO seats: held <1-6> for <100000-999999>", "INFO seats: let go <1-6> of <100000-999999>, not paid in time"], minutes=50)  # fmt: skip
    chatter(stage, "opera/prices", ["INFO prices: GET /prices/<100-900> 200 <2-6>ms"], minutes=50)
    chatter(stage, "opera/halls", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time", "<%Y-%m-%d %H:%M:%S.%3> UTC [<300-900>] ERROR:  could not obtain lock on row in relation \"seat\""], count=12, minutes=50)  # fmt: skip


def _metrics(stage: Stage) -> None:
    """Every ten minutes for sixteen days; presales are from a quarter to five on Fridays, for five hours."""
    count, step, week = 16 * 144, 600, 7 * 144
    now = [False] * count
    for last in range(count - 3, 0, -week):
        for n in range(last, min(last + 30, count)):
            now[n] = True
    here: Body = {"namespace": "spare", "deployment": "refiner"}
    stage.metric("available", "kube_deployment_status_replicas_available", [
        (here, [3.0 if one else 6.0 for one in now]),
        ({"namespace": "opera", "deployment": "front"}, [6.0 if one else 3.0 for one in now]),
    ], step_s=step)  # fmt: skip
    stage.metric("wanted", "kube_deployment_spec_replicas", [
        (here, [6.0] * count),
        ({"namespace": "opera", "deployment": "front"}, [6.0 if one else 3.0 for one in now]),
    ], step_s=step)  # fmt: skip
    pace = about(6.1, count, noise=0.08)
    stage.metric("refined", 'sum by (namespace) (rate(refiner_chunks_total[10m])) * 60', [
        ({"namespace": "spare"}, [p / 2 if one else p for one, p in zip(now, pace, strict=True)]),
    ], step_s=step)  # fmt: skip
    asked = about(30, count, noise=0.2)
    stage.metric("requests", 'sum by (namespace, service) (rate(http_requests_total{namespace="opera",service="front"}[5m]))', [
        ({"namespace": "opera", "service": "front"}, [a * 7 if one else a for one, a in zip(now, asked, strict=True)]),
    ], step_s=step)  # fmt: skip
    stage.metric("failed", 'sum by (namespace, service) (rate(http_requests_total{namespace="opera",code=~"5.."}[5m])) / sum by (namespace, service) (rate(http_requests_total{namespace="opera"}[5m]))', [
        ({"namespace": "opera", "service": "front"}, about(0.0004, count, noise=0.9)),
        ({"namespace": "opera", "service": "seats"}, about(0.0003, count, noise=0.9)),
    ], step_s=step)  # fmt: skip
    stage.metric("sold", 'sum by (namespace) (increase(front_orders_total[10m]))', [
        ({"namespace": "opera"}, whole([a * 9 if one else a / 3 for one, a in zip(now, asked, strict=True)])),
    ], step_s=step)  # fmt: skip
