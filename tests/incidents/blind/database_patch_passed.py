"""A database was away for a quarter of an hour while it was patched; its client restarted until it came back."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="Restarts counted while a database was being patched; everything is back",
    half=Half.blind,
    story="PostgreSQL's patch release takes its pod away for fifteen minutes, since the new image is pulled over a slow "
    "link. fleet-api exits when it finds no database. Both have been ready for a while when somebody reads the alert, "
    "which looks back over an hour.",
    sources=[
        "https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy",
        "https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#update-strategies",
    ],
    labels={
        "alertname": "PodRestartingOften",
        "namespace": "fleet",
        "pod": "{pod:fleet/fleet-api-}",
        "container": "api",
        "job": "kube-state-metrics",
        "severity": "warning",
    },
    annotations={
        "summary": "A container restarted more than 5 times within an hour",
        "description": "Container api of pod fleet/{pod:fleet/fleet-api-} restarted more than 5 times within the last hour.",
    },
    no_cause="already-recovered",
    traits=frozenset({Trait.healthy}),
)  # fmt: skip


def play(stage: Stage) -> None:
    stage.apply([
        *system(),
        deployment("fleet/fleet-api", container("api", "fleet/fleet-api:0.48.2", port=8000, ready="/health", env={"DATABASE_HOST": "fleet-db.fleet.svc"})),
        service("fleet/fleet-api", 80, 8000),
        stateful_set("fleet/fleet-db", container("postgres", "library/postgres:17.6", port=5432, memory=("1Gi", "2Gi")), claims={"data": ("kwok-volume", "20Gi")}),
        service("fleet/fleet-db", 5432, headless=True),
        deployment("fleet/map", container("map", "fleet/map:31", port=3000, ready="/")),
        service("fleet/map", 80, 3000),
        deployment("fuel/prices", container("prices", "fuel/prices:9.0.1", port=8080, ready="/readyz")),
        service("fuel/prices", 80, 8080),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=22, hours=20)
    image = "registry.example.com/library/postgres:17.7"
    stage.hold("fleet/fleet-db")
    stage.kubectl("set", "image", "statefulset/fleet-db", f"postgres={image}", "-n", "fleet")
    stage.calm()
    stage.told(stage.pod("fleet/fleet-db"), "Pulling", f'Pulling image "{image}"', container="postgres")
    stage.crash("fleet/fleet-api", code=1, restarts=7, lives_s=4, count=2)
    database = stage.pod("fleet/fleet-db")
    kubelet = stage.kubelets[database["spec"]["nodeName"]]
    kubelet.begin(database, at=stage.clock.real(stage.now), pulled="15m48.207s")
    stage.wait(seconds=9)
    kubelet.ready(stage.pod("fleet/fleet-db"), at=stage.clock.real(stage.now))
    stage.release("fleet/fleet-db")
    stage.calm()
    stage.wait(minutes=4)
    stage.recovered("fleet/fleet-api", restarts=8, lived_s=4, waited_s=262)
    stage.wait(minutes=17)
    for pod in stage.pods("fleet/fleet-api"):
        name = f"fleet/{pod['metadata']['name']}"
        stage.log(name, printed(stage.ago(minutes=17, seconds=267), [
            "<%Y-%m-%d %H:%M:%S,%3> INFO [alembic.runtime.migration] Context impl PostgresqlImpl.",
            "Traceback (most recent call last):",
            '  File "/app/fleet/main.py", line 22, in lifespan',
            "    await engine.connect()",
            'socket.gaierror: [Errno -2] Name or service not known',
            "ERROR:    Application startup failed. Exiting.",
        ], every_s=0.5), previous=True)  # fmt: skip
        stage.log(name, printed(stage.ago(minutes=17), [
            "<%Y-%m-%d %H:%M:%S,%3> INFO [alembic.runtime.migration] Context impl PostgresqlImpl.\nINFO:     Application startup complete.\nINFO:     Uvicorn running on http://0.0.0.0:8000 (Press CTRL+C to quit)",
            *['INFO:     10.244.<0-2>.<4-30>:<33000-60000> - "GET /vehicles/<100-999>/position HTTP/1.1" 200 OK'] * 20,
        ], every_s=40))  # fmt: skip
    stage.log("fleet/fleet-db", printed(stage.ago(minutes=21), [
        "<%Y-%m-%d %H:%M:%S.%3> UTC [1] LOG:  starting PostgreSQL 17.7 (Debian 17.7-1.pgdg12+1) on x86_64-pc-linux-gnu, compiled by gcc, 64-bit",
        '<%Y-%m-%d %H:%M:%S.%3> UTC [1] LOG:  listening on IPv4 address "0.0.0.0", port 5432',
        "<%Y-%m-%d %H:%M:%S.%3> UTC [29] LOG:  database system was shut down at <%Y-%m-%d> 05:12:31 UTC",
        "<%Y-%m-%d %H:%M:%S.%3> UTC [1] LOG:  database system is ready to accept connections",
    ], every_s=0.3))  # fmt: skip
    chatter(stage, "fleet/map", ['10.20.0.4<0-9> - - [<%d/%b/%Y:%H:%M:%S> +0000] "GET /tiles/<1-14>/<10-99>/<10-99> HTTP/1.1" 200 <3000-9000> "-" "okhttp/5.1"'])  # fmt: skip
    chatter(stage, "fuel/prices", ['{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3Z>","msg":"feed read","stations":<14000-14100>,"ms":<200-900>}'])  # fmt: skip
    stage.heartbeat()
    stage.fire(minutes_ago=26)
