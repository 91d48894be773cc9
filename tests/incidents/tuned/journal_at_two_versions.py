"""A StatefulSet's partition was left from a trial weeks ago; the next upgrade reaches one pod of three."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

from tests.incidents.incident import Half, Incident
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="A partition left from a trial keeps two of three journal pods at the old version",
    half=Half.tuned,
    story=(
        "Three weeks ago somebody set updateStrategy.rollingUpdate.partition to 2 to try 2.8.1 on one pod, let the others"
        " follow, and put the partition back. Helm now upgrades to 3.0.0: only journal-2 gets it, and the new"
        " and the old version do not replicate to each other."
    ),
    sources=[
        "https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#partitions",
        "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubestatefulsetupdatenotrolledout/",
    ],
    labels={
        "alertname": "KubeStatefulSetUpdateNotRolledOut",
        "namespace": "bookkeeping",
        "statefulset": "journal",
        "job": "kube-state-metrics",
        "severity": "warning",
    },
    causes=["StatefulSet/bookkeeping/journal"],
    says=[["partition"], ["3.0.0"], ["2.8.1"]],
)

RELEASE = {"meta.helm.sh/release-name": "journal", "meta.helm.sh/release-namespace": "bookkeeping"}


def _image(tag: str) -> Callable[[Body], None]:
    def change(body: Body) -> None:
        body["spec"]["template"]["spec"]["containers"][0]["image"] = (
            f"registry.example.com/bookkeeping/journal:{tag}"
        )

    return change


def play(stage: Stage) -> None:
    stage.apply(system())
    stage.namespace("bookkeeping")
    journal = stateful_set(
        "bookkeeping/journal",
        container("journal", "bookkeeping/journal:2.8.0", port=7800, ready="/readyz", memory=("512Mi", "1Gi"),
                  env={"PEERS": "journal-0.journal:7801,journal-1.journal:7801,journal-2.journal:7801"}),
        replicas=3, labels={"app.kubernetes.io/managed-by": "Helm"}, podManagementPolicy="Parallel",
        updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
    )  # fmt: skip
    journal["metadata"]["annotations"] = RELEASE
    peers = service("bookkeeping/journal", 7800, headless=True)
    peers["metadata"]["annotations"] = RELEASE
    document = json.dumps({"apiVersion": "v1", "kind": "List", "items": [journal, peers]})
    stage.cluster.kubectl("create", "--field-manager=helm", "-f", "-", input=document)
    stage.apply([
        deployment("bookkeeping/posting", container("posting", "bookkeeping/posting:4.1.0", port=8080, ready="/ready",
                                                    env={"JOURNAL": "journal.bookkeeping.svc.cluster.local:7800"})),
        service("bookkeeping/posting", 80, 8080),
        deployment("bookkeeping/statements", container("statements", "bookkeeping/statements:1.12.3", port=8000, ready="/healthz"), replicas=1),
        service("bookkeeping/statements", 80, 8000),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=13)
    stage.kubectl(
        "patch", "statefulset", "journal", "-n", "bookkeeping", "--type=merge",
        "-p", '{"spec":{"updateStrategy":{"rollingUpdate":{"partition":2}}}}',
    )  # fmt: skip
    stage.wait(hours=2)
    stage.edit("statefulsets/bookkeeping/journal", _image("2.8.1"), manager="helm")
    stage.calm(unfinished=["bookkeeping/journal"])
    stage.wait(hours=20)
    # The trial went well: the other two follow, and the partition is put back for the next trial.
    for partition in (0, 2):
        stage.kubectl(
            "patch", "statefulset", "journal", "-n", "bookkeeping", "--type=merge",
            "-p", json.dumps({"spec": {"updateStrategy": {"rollingUpdate": {"partition": partition}}}}),
        )  # fmt: skip
        stage.calm()
    stage.wait(days=21)
    stage.heartbeat()
    stage.edit("statefulsets/bookkeeping/journal", _image("3.0.0"), manager="helm")
    upgraded = stage.now
    stage.calm(unfinished=["bookkeeping/journal"])
    stage.wait(minutes=38)
    stage.log("bookkeeping/journal-2", printed(upgraded + timedelta(seconds=12), [
        "<%Y-%m-%dT%H:%M:%S.%3>Z INFO  journal::boot starting journal 3.0.0 node=2 peers=3 wire_format=3",
        "<%Y-%m-%dT%H:%M:%S.%3>Z INFO  journal::store recovered 41822 segments, last index 98120443",
        "<%Y-%m-%dT%H:%M:%S.%3>Z INFO  journal::http listening on 0.0.0.0:7800",
        *["<%Y-%m-%dT%H:%M:%S.%3>Z WARN  journal::peer peer journal-0.journal:7801 speaks wire format 2 (2.8.1), this node needs 3: following as a reader only",
          "<%Y-%m-%dT%H:%M:%S.%3>Z WARN  journal::peer peer journal-1.journal:7801 speaks wire format 2 (2.8.1), this node needs 3: following as a reader only"] * 14,
    ], every_s=72))  # fmt: skip
    for name in ("journal-0", "journal-1"):
        chatter(stage, f"bookkeeping/{name}", [
            "<%Y-%m-%dT%H:%M:%S.%3>Z INFO  journal::append committed batch of <20-90> entries, quorum 2/3",
            "<%Y-%m-%dT%H:%M:%S.%3>Z WARN  journal::peer journal-2.journal:7801 refused append: wire format 2 not accepted by 3.0.0",
            "<%Y-%m-%dT%H:%M:%S.%3>Z INFO  journal::append committed batch of <20-90> entries, quorum 2/3",
        ], count=30, minutes=36)  # fmt: skip
    chatter(stage, "bookkeeping/posting", [
        'ts=<%Y-%m-%dT%H:%M:%S.%3>Z level=info msg="posted" batch=<7000-7999> ms=<9-31>',
        'ts=<%Y-%m-%dT%H:%M:%S.%3>Z level=warn msg="append retried on another peer" peer=journal-2 err="read only"',
    ], minutes=30)  # fmt: skip
    chatter(
        stage,
        "bookkeeping/statements",
        ["[<%Y-%m-%d %H:%M:%S> +0000] [9] [INFO] statement <10000-19999> rendered"],
    )
    stage.fire(minutes_ago=12)
