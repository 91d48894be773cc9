"""A rule counts lines that say ERROR; the program writes one for each upload that it has already, and goes on."""

from __future__ import annotations

import math

from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
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

INCIDENT = Incident(
    title="ErrorLines of claims at noon: the more people upload, the more upload twice, which the database's driver logs as an error",
    half=Half.tuned,
    story=(
        "The intake stores uploads by their digest. Whoever sends a picture twice meets the unique index; Hibernate logs it as ERROR, the intake"
        " answers 200 with the first one. So it has been for months, in proportion to the traffic. The rule counts more than 120 such lines within five minutes, as"
        " happens each day at noon. Its text blames the database, which is well. This morning's edit of letters is unrelated."
    ),
    sources=[
        "https://grafana.com/docs/loki/latest/alert/",
        "https://docs.jboss.org/hibernate/orm/6.6/javadocs/org/hibernate/engine/jdbc/spi/SqlExceptionHelper.html",
        "https://sre.google/sre-book/practical-alerting/",
    ],
    labels={"alertname": "ErrorLines", "severity": "warning", "namespace": "claims", "app": "intake"},
    annotations={
        "summary": "intake logs more than 120 errors within five minutes.",
        "description": "Most times its database is down: look at StatefulSet evidence, and restart it when it does not answer.",
    },
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy, Trait.false_narrative}),
)

KNOWN = (
    '<%Y-%m-%dT%H:%M:%S.%3>Z ERROR 1 --- [nio-8080-exec-<1-9>] o.h.engine.jdbc.spi.SqlExceptionHelper   : ERROR: duplicate key value violates unique constraint "uploads_digest_key"\n'
    "  Detail: Key (digest)=(9f<100000-999999>c<1000-9999>) already exists."
)
ANSWERED = "<%Y-%m-%dT%H:%M:%S.%3>Z  INFO 1 --- [nio-8080-exec-<1-9>] c.e.claims.intake.UploadController       : upload known already, POST /uploads 200 in <20-60> ms"
TWICE = (
    '<%Y-%m-%d %H:%M:%S.%3> UTC [<100-900>] ERROR:  duplicate key value violates unique constraint "uploads_digest_key"\n'
    "<%Y-%m-%d %H:%M:%S.%3> UTC [<100-900>] DETAIL:  Key (digest)=(9f<100000-999999>c<1000-9999>) already exists.\n"
    "<%Y-%m-%d %H:%M:%S.%3> UTC [<100-900>] STATEMENT:  insert into uploads (claim_id,digest,size,id) values ($1,$2,$3,$4)"
)
"""The database's own three lines of it."""
STORED = "<%Y-%m-%dT%H:%M:%S.%3>Z  INFO 1 --- [nio-8080-exec-<1-9>] c.e.claims.intake.UploadController       : POST /uploads 201 in <40-140> ms"


def play(stage: Stage) -> None:
    stage.apply([
        *system(),
        config_map("logging/loki-rules", {"claims.yaml": (
            "groups:\n- name: claims\n  rules:\n  - alert: ErrorLines\n"
            '    expr: sum by (namespace, app) (count_over_time({namespace="claims"} |= " ERROR " [5m])) > 120\n'
            "    for: 5m\n    labels:\n      severity: warning\n")}),
        stateful_set("logging/loki", container("loki", "grafana/loki:3.5.7", port=3100, ready="/ready", memory=("512Mi", "1Gi"), mounts={"rules": "/rules/fake"}), pod={"volumes": [{"name": "rules", "configMap": {"name": "loki-rules"}}]}),
        service("logging/loki", 3100),
        secret("claims/evidence-login", {"password": ""}),
        deployment("claims/intake", container("intake", "claims/intake:4.2.7", port=8080, ready="/actuator/health/readiness", alive="/actuator/health/liveness", memory=("512Mi", "1Gi"),
                                              env={"SPRING_DATASOURCE_URL": "jdbc:postgresql://evidence.claims.svc.cluster.local:5432/evidence", "SPRING_DATASOURCE_PASSWORD": from_secret("evidence-login", "password")}), replicas=4),
        service("claims/intake", 80, 8080),
        stateful_set("claims/evidence", container("postgres", "postgres:17.6", port=5432, memory=("1Gi", "2Gi"), env={"POSTGRES_PASSWORD": from_secret("evidence-login", "password")})),
        service("claims/evidence", 5432, headless=True),
        config_map("claims/letters-texts", {"first.txt": "Thank you for your message."}),
        deployment("claims/letters", container("letters", "claims/letters:3.1.0", port=8080, ready="/ready", mounts={"texts": "/texts"}), pod={"volumes": [{"name": "texts", "configMap": {"name": "letters-texts"}}]}),
        service("claims/letters", 80, 8080),
        deployment("web/portal", container("portal", "web/portal:22.9.1", port=3000, ready="/up", env={"INTAKE_URL": "http://intake.claims.svc", "LETTERS_URL": "http://letters.claims.svc"}), replicas=3),
        service("web/portal", 80, 3000),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=45, hours=23, minutes=20)
    stage.edit(
        "configmaps/claims/letters-texts",
        lambda body: body["data"].update({"first.txt": "Thank you for your message. We will answer soon."}),
    )
    stage.restart("deployments/claims/letters")
    stage.calm()
    stage.wait(hours=3, minutes=10)
    stage.heartbeat()
    for n, pod in enumerate(stage.pods("claims/intake")):
        lines = [STORED, STORED, KNOWN, ANSWERED, STORED, KNOWN, ANSWERED] * 7
        stage.log(f"claims/{pod['metadata']['name']}", printed(stage.ago(minutes=6, seconds=3 * n), lines, every_s=7))  # fmt: skip
    stage.log("claims/evidence", printed(stage.ago(minutes=12), [
        TWICE,
        "<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time",
    ] * 9, every_s=38))  # fmt: skip
    chatter(stage, "claims/letters", ["INFO letters: letter <1000-9999> laid out"])
    chatter(stage, "web/portal", ['{"level":30,"req":{"method":"POST","url":"/claims/uploads"},"res":{"statusCode":200},"responseTime":<60-190>,"msg":"request completed"}'])  # fmt: skip
    chatter(stage, "logging/loki", ['level=info ts=<%Y-%m-%dT%H:%M:%S.%3>Z caller=metrics.go:237 component=ruler org_id=fake query_type=metric range_type=instant duration=<20-70>ms status=200'], count=8)  # fmt: skip
    _metrics(stage)
    stage.fire(minutes_ago=14)


def _metrics(stage: Stage) -> None:
    """Once an hour for ten days, the last one at noon."""
    hours = range(-239, 1)
    busy = [0.12 + 0.88 * math.exp(-(((h + 12) % 24 - 12) ** 2) / 18) for h in hours]
    here = {"namespace": "claims", "app": "intake"}
    served = {"namespace": "claims", "service": "intake"}
    noise = about(1, len(busy), noise=0.05, of="uploads")
    stage.metric("error-lines", 'sum by (namespace, app) (count_over_time({namespace="claims"} |= " ERROR " [5m]))', [
        (here, [float(round(141 * b * n)) for b, n in zip(busy, noise, strict=True)]),
    ], step_s=3600)  # fmt: skip
    stage.metric("requests", 'sum by (namespace, service) (rate(http_server_requests_seconds_count{namespace="claims"}[5m]))', [
        (served, [2.4 * b * n for b, n in zip(busy, noise, strict=True)]),
    ], step_s=3600)  # fmt: skip
    stage.metric("failed", 'sum by (namespace, service) (rate(http_server_requests_seconds_count{namespace="claims",status=~"5.."}[5m])) / sum by (namespace, service) (rate(http_server_requests_seconds_count{namespace="claims"}[5m]))', [
        (served, about(0.0002, len(busy), noise=0.9)),
    ], step_s=3600)  # fmt: skip
    stage.metric("p99", 'histogram_quantile(0.99, sum by (namespace, service, le) (rate(http_server_requests_seconds_bucket{namespace="claims"}[5m])))', [
        (served, about(0.142, len(busy), noise=0.1)),
    ], step_s=3600)  # fmt: skip
