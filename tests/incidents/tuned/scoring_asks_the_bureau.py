"""A flag in a ConfigMap is read again while the program runs: nothing restarts, and the portal in front gets slow."""

from __future__ import annotations

from datetime import timedelta

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, system

INCIDENT = Incident(
    title="An edited flag sends every credit score to a slow bureau, without any restart",
    half=Half.tuned,
    story=(
        "`kubectl edit` sets bureau.mode from snapshot to direct; scoring reads its settings again, waits for the"
        " bureau until the deadline, and the portal answers 502."
    ),
    sources=[
        "https://kubernetes.io/docs/concepts/configuration/configmap/#mounted-configmaps-are-updated-automatically",
        "https://blog.cloudflare.com/18-november-2025-outage/",
    ],
    labels={
        "alertname": "PortalErrorRatioHigh",
        "namespace": "lending",
        "service": "portal",
        "job": "portal",
        "severity": "critical",
    },
    annotations={"summary": "More than 20 % of the portal's answers are 5xx."},
    causes=["ConfigMap/lending/scoring-settings"],
    says=[["bureau.mode"], ["direct"], ["snapshot"]],
    innocent=["Deployment/lending/portal", "Service/lending/portal"],
    traits=frozenset({Trait.innocent, Trait.metrics_only}),
)

SETTINGS = """\
# read again when it changes
http.listen: ":8080"
bureau.url: https://bureau.partner.example/v2/reports
bureau.mode: snapshot
bureau.timeout: 2s
model.version: "2026-09"
cutoff.default: "612"
"""


def play(stage: Stage) -> None:
    stage.apply(system())
    mounted = {"volumes": [{"name": "settings", "configMap": {"name": "scoring-settings"}}]}
    stage.apply([
        config_map("lending/scoring-settings", {"settings.yaml": SETTINGS}),
        deployment(
            "lending/scoring",
            container("scoring", "lending/scoring:1.18.2", port=8080, ready="/readyz", alive="/livez",
                      mounts={"settings": "/etc/scoring"}, args=["--config=/etc/scoring/settings.yaml"]),
            replicas=3, pod=mounted,
        ),
        service("lending/scoring", 80, 8080),
        deployment(
            "lending/portal",
            container("portal", "lending/portal:7.4.0", port=3000, ready="/healthz",
                      env={"SCORING_URL": "http://scoring.lending.svc.cluster.local", "SCORING_TIMEOUT_MS": "2500"}),
        ),
        service("lending/portal", 80, 3000),
        deployment("lending/letters", container("letters", "lending/letters:2.0.9", port=8000, ready="/up"), replicas=1),
        service("lending/letters", 80, 8000),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=23, hours=1, minutes=20)

    def direct(body: Body) -> None:
        body["data"]["settings.yaml"] = SETTINGS.replace("bureau.mode: snapshot", "bureau.mode: direct")

    stage.edit("configmaps/lending/scoring-settings", direct)
    edited = stage.now
    stage.wait(minutes=27)
    reloaded = edited + timedelta(seconds=54)
    well = 'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO msg="application scored" source=snapshot model=2026-09 elapsed=<11-38>ms'
    slow = (
        'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=ERROR msg="bureau lookup failed" application=<410000-419999> '
        'err="Get \\"https://bureau.partner.example/v2/reports?ref=<1000-9999>\\": context deadline exceeded '
        '(Client.Timeout exceeded while awaiting headers)" elapsed=2.00<0-9>s'
    )
    fine = 'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO msg="application scored" source=bureau model=2026-09 elapsed=1.<51-98>s'
    for n, pod in enumerate(stage.pods("lending/scoring")):
        swapped = reloaded + timedelta(seconds=7 * n)
        stage.log(
            f"lending/{pod['metadata']['name']}",
            "\n".join([
                printed(edited - timedelta(minutes=6), [well] * 9, every_s=40),
                printed(swapped, [
                    'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO msg="settings reloaded" file=/etc/scoring/settings.yaml changed="bureau.mode: snapshot -> direct"',
                ]),
                printed(swapped + timedelta(seconds=9), [slow, slow, fine, slow, slow, slow, fine, slow] * 5, every_s=36),
            ]),
        )  # fmt: skip
    chatter(stage, "lending/portal", [
        '{"level":50,"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","pid":1,"hostname":"portal","req":{"method":"POST","url":"/applications"},"res":{"statusCode":502},"err":{"type":"TimeoutError","message":"POST http://scoring.lending.svc.cluster.local/score: no answer within 2500 ms"},"msg":"request errored"}',
        '{"level":30,"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","pid":1,"hostname":"portal","req":{"method":"GET","url":"/applications/<1000-9999>"},"res":{"statusCode":200},"responseTime":<12-60>,"msg":"request completed"}',
        '{"level":50,"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","pid":1,"hostname":"portal","req":{"method":"POST","url":"/applications"},"res":{"statusCode":502},"err":{"type":"TimeoutError","message":"POST http://scoring.lending.svc.cluster.local/score: no answer within 2500 ms"},"msg":"request errored"}',
    ], count=36, minutes=24)  # fmt: skip
    chatter(stage, "lending/letters", [
        "[<%Y-%m-%d %H:%M:%S> +0000] INFO rendered letter <30000-39999> in <80-190> ms",
        '10.244.1.1 - - [<%d/%b/%Y:%H:%M:%S> +0000] "GET /up HTTP/1.1" 200 2',
    ])  # fmt: skip
    stage.metric(
        "portal_5xx_ratio",
        'sum(rate(http_requests_total{namespace="lending",service="portal",code=~"5.."}[2m])) / sum(rate(http_requests_total{namespace="lending",service="portal"}[2m]))',
        [({"namespace": "lending", "service": "portal"},
          [0.002, 0.001, 0.002, 0.001, 0.003, 0.002, 0.06, 0.21, 0.33, *[0.34, 0.36, 0.35, 0.33] * 5, 0.35])],
    )  # fmt: skip
    stage.metric(
        "scoring_p95_seconds",
        'histogram_quantile(0.95, sum by (le, service) (rate(http_request_duration_seconds_bucket{namespace="lending",service="scoring"}[2m])))',
        [({"namespace": "lending", "service": "scoring"},
          [0.034, 0.036, 0.035, 0.033, 0.037, 0.4, 1.8, 2.0, 2.0, *[2.01, 2.0, 2.0, 2.01] * 5, 2.0])],
    )  # fmt: skip
    stage.fire(minutes_ago=14)
