"""A budget asks for as many pods as there are: the drain for a node's upgrade waits, and the alert names the node."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import container, deployment, service, stateful_set, system
from tests.testbed.cluster import CallFailed

INCIDENT = Incident(
    title="The drain of node-a for its upgrade waits: lookup's budget allows no disruption",
    half=Half.tuned,
    story=(
        "Days before, somebody raised minAvailable of lookup's PodDisruptionBudget from 2 to 3; it has three replicas. The"
        " upgrade controller cordons and drains node-a, and the eviction of lookup's pod there is refused again and"
        " again with 429."
    ),
    sources=[
        "https://kubernetes.io/docs/tasks/run-application/configure-pdb/#arbitrary-controllers-and-selectors",
        "https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/#troubleshooting-stuck-evictions",
        "https://docs.aws.amazon.com/eks/latest/userguide/managed-node-update-behavior.html",
    ],
    labels={
        "alertname": "NodeDrainStuck",
        "node": "node-a",
        "job": "upgrade-controller",
        "severity": "warning",
    },
    annotations={"summary": "node-a has been draining for more than 30 minutes."},
    causes=["PodDisruptionBudget/directory/lookup"],
    says=[["minAvailable"], ["3"], ["disruption"]],
    innocent=["Node/_cluster/node-a"],
    traits=frozenset({Trait.innocent}),
    authored=["upgrade-controller events"],
)


def play(stage: Stage) -> None:
    stage.apply(system())
    apart = {"topologySpreadConstraints": [{
        "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "lookup"}},
    }]}  # fmt: skip
    budget = {
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "lookup", "namespace": "directory"},
        "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "lookup"}}},
    }  # fmt: skip
    stage.apply([
        budget,
        deployment("directory/lookup", container("lookup", "directory/lookup:3.0.8", port=8080, ready="/readyz", alive="/livez"), replicas=3, pod=apart),
        service("directory/lookup", 80, 8080),
        stateful_set("directory/people", container("openldap", "openldap:2.6.9", port=389, memory=("256Mi", "512Mi"))),
        service("directory/people", 389, headless=True),
        deployment("directory/avatars", container("avatars", "directory/avatars:1.1.0", port=8080, ready="/ready")),
        service("directory/avatars", 80, 8080),
        deployment("upgrades/upgrade-controller", container("upgrade-controller", "upgrades/controller:v0.16.3"), replicas=1),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=24)

    def raise_it(body: Body) -> None:
        body["spec"]["minAvailable"] = 3

    stage.edit("poddisruptionbudgets/directory/lookup", raise_it)
    stage.wait(days=9, hours=3)
    stage.heartbeat()
    stage.kubectl("cordon", "node-a")
    for pod in [*stage.pods("directory/"), *stage.pods("kube-system/coredns"), *stage.pods("upgrades/")]:
        if pod["spec"]["nodeName"] != "node-a":
            continue
        place = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        try:
            stage.evict(place)
        except CallFailed as error:
            if error.code != 429 or "lookup" not in place:
                raise
    stage.calm()
    stage.wait(minutes=37)
    stage.heartbeat()
    held = next(
        p["metadata"]["name"] for p in stage.pods("directory/lookup") if p["spec"]["nodeName"] == "node-a"
    )
    node = stage.get("nodes/_cluster/node-a")
    stage.event(
        node, "NodeNotSchedulable", "Node node-a status is now: NodeNotSchedulable", kind="Normal", component="kubelet", minutes_ago=37
    )  # fmt: skip
    words = "Cannot evict pod as it would violate the pod's disruption budget."
    stage.event(
        node,
        "Draining",
        "Draining node-a for v1.36.4",
        kind="Normal",
        component="upgrade-controller",
        minutes_ago=37,
    )
    stage.event(
        node, "DrainFailed", f'error when evicting pods/"{held}" -n "directory": {words}', component="upgrade-controller", minutes_ago=0.1
    )  # fmt: skip
    chatter(stage, "upgrades/upgrade-controller", [
        f'E<%m%d %H:%M:%S.%3>000       1 drain.go:161] error when evicting pods/"{held}" -n "directory" (will retry after 5s): {words}',
    ], count=40, minutes=4)  # fmt: skip
    chatter(
        stage,
        "directory/lookup",
        ['{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"looked up","base":"ou=people","ms":<2-14>}'],
    )
    chatter(
        stage,
        "directory/avatars",
        ['10.244.0.1 - - [<%d/%b/%Y:%H:%M:%S> +0000] "GET /a/<1000-9999>.png HTTP/1.1" 200 <2000-9000>'],
    )
    chatter(
        stage,
        "directory/people",
        [
            "<%b %d %H:%M:%S> people-0 slapd[1]: conn=<1000-1999> op=1 SEARCH RESULT tag=101 err=0 qtime=0.00001<1-9> etime=0.0003<10-99> nentries=1 text="
        ],
    )
    stage.fire(minutes_ago=6)
