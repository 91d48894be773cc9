"""A release keeps every answer in memory: over days the heap fills, the JVM ends and starts, and the shop waits for it."""

from __future__ import annotations

from datetime import timedelta

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="Since release 5.1.0 the heap of suggest fills within two days, and the shop's pages wait for it",
    half=Half.tuned,
    story=(
        "5.1.0 of suggest, rolled out nine days ago, never lets go of its answers. Garbage collection takes more and more"
        " time, then the JVM ends with OutOfMemoryError (exit code 3) and starts again. The alert is storefront's, in"
        " another namespace: its pages wait for suggestions."
    ),
    sources=[
        "https://docs.oracle.com/en/java/javase/21/troubleshoot/troubleshooting-memory-leaks.html",
        "https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy",
    ],
    labels={
        "alertname": "PageLatencyHigh",
        "namespace": "shop",
        "service": "storefront",
        "severity": "warning",
    },
    annotations={"summary": "p95 of storefront's pages is above 2 s."},
    causes=["Deployment/discovery/suggest"],
    says=[["OutOfMemoryError", "Java heap space"], ["5.1.0"], ["5.0.4"]],
    innocent=["Service/shop/storefront", "Deployment/shop/storefront"],
    traits=frozenset({Trait.innocent}),
)


def play(stage: Stage) -> None:
    stage.apply(system())
    stage.apply([
        deployment(
            "discovery/suggest",
            container("suggest", "discovery/suggest:5.0.4", port=8080, ready="/actuator/health/readiness", cpu="500m", memory=("2Gi", "2Gi"),
                      env={"JAVA_TOOL_OPTIONS": "-Xmx1400m -XX:+ExitOnOutOfMemoryError -Xlog:gc:stdout:time"}),
        ),
        service("discovery/suggest", 80, 8080),
        stateful_set("discovery/index", container("opensearch", "opensearch:3.3.2", port=9200, memory=("2Gi", "3Gi"))),
        service("discovery/index", 9200, headless=True),
        deployment("shop/storefront", container("storefront", "shop/storefront:31.7.0", port=3000, ready="/healthz", env={"SUGGEST_URL": "http://suggest.discovery.svc.cluster.local"}), replicas=3),
        service("shop/storefront", 80, 3000),
        deployment("shop/wishlist", container("wishlist", "shop/wishlist:2.2.1", port=8080, ready="/ready")),
        service("shop/wishlist", 80, 8080),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=20, hours=1)
    stage.kubectl(
        "set",
        "image",
        "deployment/suggest",
        "suggest=registry.example.com/discovery/suggest:5.1.0",
        "-n",
        "discovery",
    )
    stage.calm()
    stage.wait(days=7, hours=1)
    first, second = [p["metadata"]["name"] for p in stage.pods("discovery/suggest")]
    stage.recovered(f"discovery/{second}", restarts=3, code=3, lived_s=2.28 * 86400)
    stage.wait(hours=46)
    stage.recovered(f"discovery/{first}", restarts=4, code=3, lived_s=2.21 * 86400)
    ended = stage.now
    stage.wait(minutes=16)
    stage.heartbeat()

    def full(first: int, kept: int) -> list[str]:
        """Fifteen collections of everything, each with the answer that waited for it."""
        return [
            line
            for n in range(15)
            for line in (
                f"[<%Y-%m-%dT%H:%M:%S.%3>+0000] GC({first + 3 * n}) Pause Full (G1 Compaction Pause) 1399M->139<1-8>M(1400M) <2100-3900>.<100-999>ms",
                (
                    "<%Y-%m-%d %H:%M:%S.%3>  WARN 1 --- [nio-8080-exec-<1-9>] d.suggest.AnswerController : suggestions took <2300-5200> ms,"
                    f" answers kept: {kept + 211 * n}"
                ),
            )
        ]

    out = (
        "java.lang.OutOfMemoryError: Java heap space\n"
        "\tat java.base/java.util.Arrays.copyOf(Arrays.java:3537)\n"
        "\tat java.base/java.util.concurrent.ConcurrentHashMap.putVal(ConcurrentHashMap.java:1027)\n"
        "\tat d.suggest.AnswerMemory.keep(AnswerMemory.java:44)\n"
        "\tat d.suggest.AnswerController.suggest(AnswerController.java:71)\n"
        "Terminating due to java.lang.OutOfMemoryError: Java heap space"
    )
    stage.log(
        f"discovery/{first}",
        printed(ended - timedelta(minutes=9), full(22871, 4152514), every_s=17) + "\n" + printed(ended - timedelta(seconds=8), [out]),
        previous=True,
    )  # fmt: skip
    start = "<%Y-%m-%d %H:%M:%S.%3>  INFO 1 --- [main] d.suggest.Application : Started Application in 7.9 seconds (process running for 8.6)"
    quick = [
        f"<%Y-%m-%d %H:%M:%S.%3>  INFO 1 --- [nio-8080-exec-<1-9>] d.suggest.AnswerController : suggestions took <14-60> ms, answers kept: {1 + 1130 * n}"
        for n in range(24)
    ]
    stage.log(
        f"discovery/{first}",
        printed(ended + timedelta(seconds=8), [start]) + "\n" + printed(ended + timedelta(seconds=20), quick, every_s=38),
    )  # fmt: skip
    stage.log(f"discovery/{second}", printed(stage.ago(minutes=25), full(21904, 4149020), every_s=49))
    chatter(stage, "shop/storefront", [
        '{"level":"warn","time":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"slow page","path":"/search","ms":<3400-4900>,"waited_for":{"suggest.discovery":<2200-3300>}}',
        '{"level":"info","time":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"page","path":"/p/<10000-99999>","ms":<30-90>}',
        '{"level":"error","time":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"suggestions left out","path":"/search","err":"timeout of 5000ms exceeded","url":"http://suggest.discovery.svc.cluster.local/v2/suggest"}',
    ], count=40, minutes=36)  # fmt: skip
    chatter(
        stage,
        "discovery/index",
        [
            "[<%Y-%m-%dT%H:%M:%S,%3>][INFO ][o.o.i.s.IndexShard       ] [index-0] [products][0] primary-replica resync completed"
        ],
        count=4,
        minutes=30,
    )
    chatter(
        stage,
        "shop/wishlist",
        ["<%Y-%m-%d %H:%M:%S.%3>  INFO 1 --- [nio-8080-exec-<1-9>] s.w.ListController : list read"],
    )
    # Bytes of heap an hour apart: flat with 5.0.4, a saw since.
    saw = [[0.32, 0.4, 0.38, 0.35][n % 4] for n in range(24)]
    old_first = [*saw, *[min(1.4, 0.3 + 1.1 * ((n + 51) % 53) / 50) for n in range(215)]]
    old_second = [*saw, *[min(1.4, 0.3 + 1.1 * ((n + 52) % 55) / 45) for n in range(215)]]
    stage.metric("suggest_heap_bytes", 'sum by (pod) (jvm_memory_used_bytes{namespace="discovery",area="heap",container="suggest"})', [
        ({"namespace": "discovery", "pod": first}, [v * 1e9 for v in old_first]),
        ({"namespace": "discovery", "pod": second}, [v * 1e9 for v in old_second]),
    ], step_s=3600)  # fmt: skip
    stage.metric("storefront_p95_seconds", 'histogram_quantile(0.95, sum by (le) (rate(page_seconds_bucket{namespace="shop"}[5m])))', [
        ({"namespace": "shop", "service": "storefront"}, [0.4, 0.5, 0.6, 0.8, 1.1, 1.3, 1.7, 2.0, 2.4, 2.9, 3.4, 3.9, 4.4, 4.6, 4.1, 3.4, 3.3]),
    ], step_s=300)  # fmt: skip
    stage.fire(minutes_ago=24)
