"""An alert about a pod of a trial environment that was removed with its change; the alert is kept for half an hour."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="ContainerKeepsEnding of a trial environment whose change was merged and which was removed with all it had twelve minutes ago",
    half=Half.tuned,
    story=(
        "The trial of change 417 ended again and again while it was worked on; the change was mended, merged, and its environment removed. The rule looks at half an hour of restarts."
        " There is nothing left that it could be about. The other trials and the shop are well."
    ),
    sources=[
        "https://prometheus.io/docs/prometheus/latest/querying/basics/#staleness",
        "https://argo-cd.readthedocs.io/en/stable/operator-manual/applicationset/Generators-Pull-Request/",
        "https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/",
    ],
    labels={
        "alertname": "ContainerKeepsEnding",
        "severity": "warning",
        "namespace": "trial-417",
        "pod": "shop-7c9d6f5b8c-x2lqp",
        "container": "shop",
        "job": "kube-state-metrics",
    },
    annotations={"summary": "Container shop of trial-417/shop-7c9d6f5b8c-x2lqp was restarted 6 times within 30 minutes."},
    no_cause="already-recovered",
    traits=frozenset({Trait.healthy}),
)  # fmt: skip


def play(stage: Stage) -> None:
    trials = ("trial-402", "trial-417", "trial-420")
    stage.apply([
        *system(),
        deployment("tools/trials", container("trials", "tools/trials:1.8.0", port=8080, ready="/ready"), replicas=1),
        *(deployment(f"{name}/shop", container("shop", f"shop/shop:change-{name[6:]}", port=8080, ready="/ready", env={"DB_HOST": f"goods.{name}.svc"}), replicas=1) for name in trials),
        *(service(f"{name}/shop", 80, 8080) for name in trials),
        *(stateful_set(f"{name}/goods", container("postgres", "postgres:17.6", port=5432)) for name in trials),
        *(service(f"{name}/goods", 5432, headless=True) for name in trials),
        config_map("shop/shop-settings", {"currency": "EUR"}),
        deployment("shop/shop", container("shop", "shop/shop:88.1.0", port=8080, ready="/ready", env={"DB_HOST": "goods.shop.svc"}), replicas=3), service("shop/shop", 80, 8080),
        stateful_set("shop/goods", container("postgres", "postgres:17.6", port=5432, memory=("1Gi", "2Gi"))), service("shop/goods", 5432, headless=True),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=3, hours=5)
    stage.crash("trial-417/shop", code=1, restarts=6, log="shop: panic: no rate for currency XTS\n")
    stage.wait(minutes=9)
    stage.release("trial-417/shop")
    removed = stage.now
    stage.kubectl("delete", "namespace", "trial-417", "--wait=false")
    gone = lambda: "trial-417" not in {n["metadata"]["name"] for n in stage.cluster.ask("GET", "/api/v1/namespaces")["items"]}  # noqa: E731  # fmt: skip

    def swept() -> bool:
        stage.calm()
        return gone()

    stage.cluster.until("the trial is gone", swept)
    stage.wait(minutes=3)
    stage.kubectl(
        "set", "image", "deployment/shop", "shop=registry.example.com/shop/shop:88.2.0", "-n", "shop"
    )
    stage.calm()
    stage.wait(minutes=9)
    stage.heartbeat()
    stage.logs = {key: text for key, text in stage.logs.items() if key[0] != "trial-417"}
    stage.log("tools/trials", printed(removed, [
        "INFO trials: change 417 was merged as 88.2.0, removing its environment trial-417",
        "INFO trials: trial-417 removed",
        "INFO trials: 2 environments: trial-402 (change 402, open), trial-420 (change 420, open)",
    ], every_s=40))  # fmt: skip
    for name in ("trial-402", "trial-420", "shop"):
        chatter(stage, f"{name}/shop", ["INFO shop: GET /goods 200 <5-20>ms"], count=12)
        chatter(stage, f"{name}/goods", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time"], count=3)  # fmt: skip
    stage.fire(minutes_ago=15)
