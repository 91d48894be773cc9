"""Pods ended when a partner's line was down and have been well for half an hour; the alert comes late."""

from __future__ import annotations

from datetime import timedelta

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.manifests import deployment, kube_prometheus
from tests.incidents.stage import Stage
from tests.incidents.workloads import service
from tests.testbed.kubelet import Container, stamp, terminated

INCIDENT = Incident(
    title="A partner's line was down for six minutes and everything has come back by itself",
    half=Half.tuned,
    story="The clearing's peer outside the cluster closed its connections. The containers ended twice and started again; "
    "since then all is served.",
    sources=["https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy"],
    labels=kube_prometheus("KubeDeploymentReplicasMismatch", namespace="clearing", deployment="uplink"),
    no_cause="already-recovered",
    traits=frozenset({Trait.healthy}),
)

MANIFESTS = [
    deployment("clearing/uplink", "clearing/uplink:1.6.0", port=8080, ready="/ready", env={"PEER": "203.0.113.40:7700"}),
    service("clearing/uplink", 8080),
    deployment("clearing/ledger", "clearing/ledger:9.3.1", port=8080, env={"UPLINK": "http://uplink.clearing:8080"}),
    service("clearing/ledger", 8080),
]  # fmt: skip


def play(stage: Stage) -> None:
    stage.apply(MANIFESTS)
    stage.calm()
    stage.wait(days=30, hours=2)
    for pod in stage.placed("clearing/uplink", 2):
        kubelet = stage.kubelets[pod["spec"]["nodeName"]]
        ended = stage.now
        began = stage.clock.real(ended + timedelta(seconds=20))
        last = terminated(1, stage.clock.real(ended - timedelta(minutes=3)), stage.clock.real(ended))
        kubelet.report(
            pod,
            {"uplink": Container({"running": {"startedAt": stamp(began)}}, False, True, 2, last)},
            at=stage.clock.real(ended),
        )
        kubelet.tell(
            pod, "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", at=stage.clock.real(ended),
            count=19, type_="Warning", container="uplink",
        )  # fmt: skip
        kubelet.tell(pod, "Started", "Container started", at=began, count=2, container="uplink")
    stage.log(
        "clearing/uplink",
        "uplink[1]: peer 203.0.113.40:7700 closed the connection\nuplink[1]: exit",
        previous=True,
    )
    stage.wait(minutes=4)
    for pod in stage.placed("clearing/uplink", 2):
        status = pod["status"]["containerStatuses"][0]
        up = Container(status["state"], True, True, 2, status["lastState"])
        stage.kubelets[pod["spec"]["nodeName"]].report(pod, {"uplink": up}, at=stage.clock.real(stage.now))
    stage.wait(minutes=34)
    stage.log(
        "clearing/uplink",
        "uplink[1]: session with 203.0.113.40:7700 up\nuplink[1]: 1204 messages in the last minute",
    )
    stage.fire(minutes_ago=31)
