"""A bad release was taken back a quarter of an hour ago; the alert on the slow burn looks at hours and still fires."""

from __future__ import annotations

from datetime import timedelta

from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="Release 8.2.0 of seating failed for sixteen minutes and was rolled back; a burn rate over six hours still fires",
    half=Half.tuned,
    story=(
        "8.2.0 cannot read halls without a balcony and answers 500. Sixteen minutes after it went out it is rolled back, and since then"
        " no request has failed. The alert looks at 30 minutes and at 6 hours, so that it fires for another while."
    ),
    sources=[
        "https://sre.google/workbook/alerting-on-slos/",
        "https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#rolling-back-a-deployment",
        "https://sloth.dev/slo-alerts/burn-rate/",
    ],
    labels={
        "alertname": "SeatingAvailability",
        "namespace": "tickets",
        "service": "seating",
        "sloth_service": "seating",
        "sloth_slo": "requests-availability",
        "sloth_severity": "ticket",
        "severity": "warning",
    },
    annotations={"summary": "seating burns its error budget: 6 times over 6 h and 30 m."},
    no_cause="already-recovered",
    traits=frozenset({Trait.healthy}),
)

FAILED = (
    "<%Y-%m-%d %H:%M:%S.%3> ERROR 1 --- [nio-8080-exec-<1-9>] c.e.tickets.seating.HallController : GET /halls/<10-99>/plan 500\n"
    'java.lang.NullPointerException: Cannot invoke "com.example.tickets.seating.Balcony.rows()" because the return value of "com.example.tickets.seating.Hall.balcony()" is null\n'
    "\tat com.example.tickets.seating.Plan.of(Plan.java:61)\n"
    "\tat com.example.tickets.seating.HallController.plan(HallController.java:44)"
)
WELL = "<%Y-%m-%d %H:%M:%S.%3>  INFO 1 --- [nio-8080-exec-<1-9>] c.e.tickets.seating.HallController : GET /halls/<10-99>/plan 200 <8-40> ms"


def play(stage: Stage) -> None:
    stage.apply(system())
    stage.apply([
        config_map("tickets/seating-settings", {"application.yaml": "halls.cache: 10m\nplan.width: 1200\n"}),
        deployment("tickets/seating", container("seating", "tickets/seating:8.1.3", port=8080, ready="/actuator/health/readiness", alive="/actuator/health/liveness", memory=("512Mi", "1Gi"),
                                                mounts={"settings": "/config"}, env={"HALLS_DB": "jdbc:postgresql://halls-db:5432/halls"}),
                   replicas=3, pod={"volumes": [{"name": "settings", "configMap": {"name": "seating-settings"}}]}),
        service("tickets/seating", 80, 8080),
        stateful_set("tickets/halls-db", container("postgres", "postgres:17.6", port=5432, memory=("1Gi", "2Gi"))),
        service("tickets/halls-db", 5432, headless=True),
        deployment("tickets/checkout", container("checkout", "tickets/checkout:15.5.0", port=8080, ready="/ready", env={"SEATING_URL": "http://seating.tickets.svc"})),
        service("tickets/checkout", 80, 8080),
        deployment("tickets/posters", container("posters", "tickets/posters:2.9.9", port=8000, ready="/up"), replicas=1),
        deployment("web/boxoffice", container("boxoffice", "web/boxoffice:30.3.0", port=3000, ready="/up", env={"SEATING_URL": "http://seating.tickets.svc", "CHECKOUT_URL": "http://checkout.tickets.svc"})),
        service("web/boxoffice", 80, 3000),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=13, hours=2)
    stage.kubectl(
        "set",
        "image",
        "deployment/posters",
        "posters=registry.example.com/tickets/posters:2.9.10",
        "-n",
        "tickets",
    )
    stage.calm()
    stage.wait(hours=7)
    stage.kubectl(
        "set",
        "image",
        "deployment/seating",
        "seating=registry.example.com/tickets/seating:8.2.0",
        "-n",
        "tickets",
    )
    stage.calm()
    began = stage.now
    stage.wait(minutes=16)
    stage.kubectl("rollout", "undo", "deployment/seating", "-n", "tickets")
    stage.calm()
    back = stage.now
    stage.wait(minutes=15)
    stage.heartbeat()
    for n, pod in enumerate(stage.pods("tickets/seating")):
        stage.log(f"tickets/{pod['metadata']['name']}", printed(back + timedelta(seconds=3 * n), [
            "<%Y-%m-%d %H:%M:%S.%3>  INFO 1 --- [main] c.e.tickets.seating.Application : Starting Application v8.1.3 using Java 21.0.8 with PID 1",
            "<%Y-%m-%d %H:%M:%S.%3>  INFO 1 --- [main] com.zaxxer.hikari.HikariDataSource : HikariPool-1 - Start completed.",
            "<%Y-%m-%d %H:%M:%S.%3>  WARN 1 --- [main] org.hibernate.orm.deprecation : HHH90000025: PostgreSQLDialect does not need to be specified explicitly using 'hibernate.dialect'",
            "<%Y-%m-%d %H:%M:%S.%3>  INFO 1 --- [main] c.e.tickets.seating.Application : Started Application in 5.<100-999> seconds (process running for 6.1)",
            *[WELL] * 40,
        ], every_s=20))  # fmt: skip
    caller_failed = '{"level":50,"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","req":{"method":"GET","url":"/halls/<10-99>"},"res":{"statusCode":502},"err":{"message":"GET http://seating.tickets.svc/halls/<10-99>/plan answered 500"},"msg":"request errored"}'
    caller_well = '{"level":30,"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","req":{"method":"GET","url":"/halls/<10-99>"},"res":{"statusCode":200},"responseTime":<30-90>,"msg":"request completed"}'
    for n, pod in enumerate(stage.pods("web/boxoffice")):
        shift = timedelta(seconds=4 * n)
        stage.log(f"web/{pod['metadata']['name']}", "\n".join([
            printed(began - timedelta(minutes=8) + shift, [caller_well] * 20, every_s=22),
            printed(began + timedelta(seconds=9) + shift, [caller_failed, caller_failed, caller_well] * 14, every_s=22),
            printed(back + timedelta(seconds=15) + shift, [caller_well] * 38, every_s=22),
        ]))  # fmt: skip
    chatter(
        stage,
        "tickets/checkout",
        [
            "INFO  checkout.http POST /orders 201 <60-140>ms",
            "INFO  checkout.http GET /orders/<1000-9999> 200 <6-20>ms",
        ],
    )
    chatter(stage, "tickets/posters", ["[<%Y-%m-%d %H:%M:%S> +0000] INFO poster drawn <1000-9999>"])
    chatter(
        stage,
        "tickets/halls-db",
        [
            "<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint complete: wrote <20-90> buffers (0.<1-4>%); 0 WAL file(s) added, 0 removed, 0 recycled"
        ],
        count=6,
        minutes=40,
    )
    _metrics(stage)
    stage.fire(minutes_ago=22)


def _metrics(stage: Stage) -> None:
    """Once a minute for an hour: 16 bad minutes, and 15 good ones since."""
    before, bad, since = 29, 16, 15
    stage.metric("errors", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[1m])) / sum by (namespace, service) (rate(http_requests_total[1m]))', [
        ({"namespace": "tickets", "service": "seating"}, [*about(0.0008, before, noise=0.9), *about(0.61, bad), *about(0.0007, since, noise=0.9)]),
        ({"namespace": "web", "service": "boxoffice"}, [*about(0.0005, before, noise=0.9), *about(0.19, bad), *about(0.0005, since, noise=0.9)]),
        ({"namespace": "tickets", "service": "checkout"}, about(0.0004, before + bad + since, noise=0.9)),
    ])  # fmt: skip
    stage.metric("burn", "slo:sli_error:ratio_rate30m / on (sloth_id) slo:error_budget:ratio", [
        ({"namespace": "tickets", "service": "seating", "sloth_slo": "requests-availability"}, [*about(0.8, before, noise=0.3), *[20.0 * n for n in range(1, bad + 1)], *about(325, since, noise=0.01)]),
    ])  # fmt: skip
