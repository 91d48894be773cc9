"""A Job's second container never ends, so the Job never completes and later runs are not started; a reader of the data alerts."""

from __future__ import annotations

from datetime import timedelta

from tests.incidents import crons
from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import (
    config_map,
    container,
    deployment,
    from_secret,
    secret,
    service,
    stateful_set,
    system,
)
from tests.testbed.kubelet import Container, running, terminated

INCIDENT = Incident(
    title="The currency import's run goes on after its work, as a log courier beside it never ends, and quotes are refused",
    half=Half.tuned,
    story=(
        "Two and a half hours ago the CronJob fx-import got a second container, courier, that ships an audit file. The import"
        " itself still ends well within a minute, but the courier follows the file for ever: the pod stays Running, its Job"
        " stays active, and with concurrencyPolicy Forbid no later run is started. The rates in the store grow old, and the"
        " quotes service, which had a harmless release of its own ten minutes before, refuses to quote."
    ),
    sources=[
        "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#concurrency-policy",
        "https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#sidecar-containers-and-pod-lifecycle",
        "https://github.com/kubernetes/enhancements/tree/master/keps/sig-node/753-sidecar-containers",
        "https://github.com/kubernetes/kubernetes/blob/master/pkg/controller/cronjob/cronjob_controllerv2.go",
    ],
    labels={
        "alertname": "QuotesRefusedRatioHigh",
        "namespace": "trading",
        "service": "quotes",
        "severity": "critical",
        "slo": "quotes-answered",
    },
    annotations={"summary": "quotes refuses more than 20 % of the requests for a quote."},
    causes=["CronJob/treasury/fx-import"],
    says=[["courier"], ["Forbid", "still running", "still active", "prior execution", "does not end", "never ends", "not complete", "JobAlreadyActive"]],
    innocent=["Deployment/trading/quotes", "Service/trading/quotes", "StatefulSet/treasury/rates", "Deployment/trading/desk"],
    traits=frozenset({Trait.innocent}),
    authored=["cronjob-controller"],
)  # fmt: skip

IMPORT = container(
    "import", "treasury/fx-import:4.2.1", cpu="200m", args=["--source=ecb", "--source=desk-feed"],
    env={"STORE_DSN": "postgres://importer@rates.treasury.svc.cluster.local:5432/rates", "PGPASSWORD": from_secret("rates-importer", "password")},
)  # fmt: skip
COURIER = container(
    "courier", "platform/log-courier:2.9.3", cpu="20m", memory=("32Mi", "64Mi"), mounts={"audit": "/audit"},
    args=["--follow", "/audit/imports.jsonl", "--to", "http://collector.platform.svc.cluster.local:8088"],
)  # fmt: skip


def _cron() -> Body:
    pod = {"restartPolicy": "Never", "containers": [IMPORT]}
    return {
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "fx-import", "namespace": "treasury", "labels": {"app": "fx-import"}},
        "spec": {
            "schedule": "*/15 * * * *", "concurrencyPolicy": "Forbid", "startingDeadlineSeconds": 120,
            "successfulJobsHistoryLimit": 2, "failedJobsHistoryLimit": 1,
            "jobTemplate": {"spec": {"backoffLimit": 1, "template": {"metadata": {"labels": {"app": "fx-import"}}, "spec": pod}}},
        },
    }  # fmt: skip


def play(stage: Stage) -> None:
    stage.apply([
        *system(),
        secret("treasury/rates-importer", {"password": ""}), secret("trading/rates-reader", {"password": ""}),
        stateful_set("treasury/rates", container("postgres", "postgres:17.2", port=5432, memory=("512Mi", "1Gi"))),
        service("treasury/rates", 5432, headless=True),
        deployment("treasury/positions", container("positions", "treasury/positions:8.8.0", port=8080, ready="/ready", env={"STORE": "rates.treasury.svc:5432"})),
        service("treasury/positions", 80, 8080),
        _cron(),
        config_map("trading/quotes-settings", {"quotes.yaml": "rates:\n  host: rates.treasury.svc.cluster.local\n  max_age: 45m\nspread_bps: 12\n"}),
        deployment("trading/quotes", container(
            "quotes", "trading/quotes:11.3.0", port=8080, ready="/healthz", mounts={"settings": "/etc/quotes"},
            env={"PGPASSWORD": from_secret("rates-reader", "password")},
        ), replicas=3, pod={"volumes": [{"name": "settings", "configMap": {"name": "quotes-settings"}}]}),
        service("trading/quotes", 80, 8080),
        deployment("trading/desk", container("desk", "trading/desk:3.14.2", port=3000, ready="/", env={"QUOTES_URL": "http://quotes.trading.svc.cluster.local"})),
        service("trading/desk", 80, 3000),
        deployment("platform/collector", container("collector", "platform/collector:0.140.0", port=8088, ready="/health")),
        service("platform/collector", 8088),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=22, hours=4, minutes=3)
    place = "treasury/fx-import"
    before = stage.now.replace(minute=15, second=0, microsecond=0)
    done = crons.complete(stage, place, crons.start(stage, place, before), lasts_s=41)
    stage.log(f"treasury/{done['metadata']['name']}", printed(stage.ago(seconds=41), IMPORTED, every_s=13))
    stage.wait(minutes=6)

    def ship_audit(cron: Body) -> None:
        pod = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        pod["containers"].append(COURIER)
        pod["containers"][0]["volumeMounts"] = [{"name": "audit", "mountPath": "/audit"}]
        pod["volumes"] = [{"name": "audit", "emptyDir": {}}]

    stage.edit("cronjobs/treasury/fx-import", ship_audit, manager="terraform")
    stage.wait(minutes=9)
    job = crons.start(stage, place, before + timedelta(minutes=15))
    (pod,) = stage.placed(f"treasury/{job}")
    _does_its_work(stage, pod)
    stage.wait(minutes=33)
    stage.kubectl(
        "set",
        "image",
        "deployment/quotes",
        "quotes=registry.example.com/trading/quotes:11.3.1",
        "-n",
        "trading",
    )
    stage.calm()
    stage.wait(minutes=116)
    crons.skip(stage, place, count=10)
    stage.heartbeat()
    for reader in stage.pods("trading/quotes-"):
        stage.log(f"trading/{reader['metadata']['name']}", printed(stage.ago(minutes=40), [
            'level=warn msg="quote refused" pair=EUR/CHF reason="rate is older than 45m" as_of=2026-11-25T13:32:<10-18>Z',
            'level=info msg="quote refused" pair=EUR/NOK reason="rate is older than 45m" as_of=2026-11-25T13:32:<10-18>Z',
            'level=info msg="quote given" pair=EUR/USD source=desk-live ms=<3-14>',
        ] * 12, every_s=66))  # fmt: skip
    chatter(
        stage,
        "trading/desk",
        [
            '{"level":"warn","msg":"no quote","status":409,"upstream":"quotes","pair":"EUR/CHF"}',
            '{"level":"info","msg":"ticket opened","ms":<20-90>}',
        ],
    )
    chatter(
        stage,
        "treasury/rates",
        [
            "<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint complete: wrote <10-60> buffers (0.1%); 0 WAL file(s) added, 0 removed, 0 recycled"
        ],
        count=6,
    )
    chatter(stage, "platform/collector", ['{"level":"info","msg":"received","records":<10-400>}'])
    refused = [*about(0.002, 75, noise=0.5), *about(0.34, 105, noise=0.06)]
    stage.metric("refused", 'sum by (namespace, service) (rate(quotes_refused_total[5m])) / sum by (namespace, service) (rate(quotes_requested_total[5m]))', [
        ({"namespace": "trading", "service": "quotes"}, refused),
    ])  # fmt: skip
    stage.fire(minutes_ago=88)


IMPORTED = [
    "INFO fx-import: source ecb: 31 rates",
    "INFO fx-import: source desk-feed: 118 rates",
    "INFO fx-import: 149 rates written, as of <%Y-%m-%dT%H:%M:%S>Z; done",
]


def _does_its_work(stage: Stage, pod: Body) -> None:
    """The import ends well; the courier beside it goes on."""
    kubelet = stage.kubelets[pod["spec"]["nodeName"]]
    began = stage.now
    kubelet.started(pod, at=stage.clock.real(began))
    stage.wait(seconds=47)
    up = running(stage.clock.real(began))
    end = Container(terminated(0, stage.clock.real(began), stage.clock.real(stage.now)), started=False)
    kubelet.report(
        stage.get(f"pods/treasury/{pod['metadata']['name']}"),
        {"import": end, "courier": up},
        at=stage.clock.real(stage.now),
    )
    name = f"treasury/{pod['metadata']['name']}"
    stage.log(name, printed(began, IMPORTED, every_s=14), container="import")
    stage.log(name, printed(began, [
        "courier: watching /audit/imports.jsonl", "courier: shipped 1 record to http://collector.platform.svc.cluster.local:8088", "courier: waiting for more",
    ], every_s=24), container="courier")  # fmt: skip
