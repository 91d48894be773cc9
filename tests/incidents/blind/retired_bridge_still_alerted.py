"""An old rule pack comes back and alerts on a Deployment that was retired, at 0 replicas, weeks ago."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.stage import Stage

INCIDENT = Incident(
    title="A restored alert rule asks for a bridge that was retired three weeks ago",
    half=Half.blind,
    story="Messages leave through the relay since the SMS bridge was retired: scaled to 0, its Service removed, no "
    "caller left. A restored rule pack still has the rule that the bridge must be up, and it fires.",
    sources=[
        "https://prometheus.io/docs/prometheus/latest/querying/functions/#absent",
        "https://prometheus-operator.dev/docs/developer/alerting/",
        "https://sre.google/sre-book/monitoring-distributed-systems/",
    ],
    labels={
        "alertname": "SmsBridgeAbsent",
        "namespace": "messaging",
        "deployment": "sms-bridge",
        "job": "sms-bridge",
    },
    annotations={"summary": "No sms-bridge target is up."},
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
    authored=["prometheus rule without its operator"],
)

MANIFESTS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: sms-bridge, namespace: messaging, labels: {app: sms-bridge}}
spec:
  replicas: 2
  selector: {matchLabels: {app: sms-bridge}}
  template:
    metadata: {labels: {app: sms-bridge}}
    spec:
      containers:
      - name: sms-bridge
        image: registry.example.com/messaging/sms-bridge:1.8.4
        ports: [{name: http, containerPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: sms-bridge, namespace: messaging}
spec: {selector: {app: sms-bridge}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: notifier, namespace: messaging}
spec:
  replicas: 3
  selector: {matchLabels: {app: notifier}}
  template:
    metadata: {labels: {app: notifier}}
    spec:
      containers:
      - name: notifier
        image: registry.example.com/messaging/notifier:6.1.0
        env: [{name: SMS_URL, value: "http://sms-bridge.messaging.svc/send"}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: templates, namespace: messaging}
spec:
  replicas: 2
  selector: {matchLabels: {app: templates}}
  template:
    metadata: {labels: {app: templates}}
    spec:
      containers:
      - {name: templates, image: "registry.example.com/messaging/templates:2.2.2", ports: [{containerPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: templates, namespace: messaging}
spec: {selector: {app: templates}, ports: [{port: 80, targetPort: 8080}]}
"""

RELAY = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: relay, namespace: messaging}
spec:
  replicas: 2
  selector: {matchLabels: {app: relay}}
  template:
    metadata: {labels: {app: relay}}
    spec:
      containers:
      - {name: relay, image: "registry.example.com/messaging/relay:1.0.3", ports: [{name: http, containerPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: relay, namespace: messaging}
spec: {selector: {app: relay}, ports: [{name: http, port: 80, targetPort: http}]}
"""

RULES = """
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: messaging, namespace: monitoring, labels: {prometheus: k8s, role: alert-rules}}
spec:
  groups:
  - name: messaging
    rules:
    - alert: SmsBridgeAbsent
      expr: absent(up{job="sms-bridge"} == 1)
      for: 10m
      labels: {severity: critical, namespace: messaging, deployment: sms-bridge}
      annotations: {summary: No sms-bridge target is up.}
    - alert: NotifierQueueGrowing
      expr: deriv(notifier_queue_length[30m]) > 5
      for: 15m
      labels: {severity: warning}
      annotations: {summary: The notifier's queue grows.}
"""


def play(stage: Stage) -> None:
    stage.crd("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules")
    stage.apply(MANIFESTS)
    stage.calm()
    stage.wait(days=9, hours=2)
    stage.apply(RELAY)
    stage.calm()
    stage.kubectl(
        "set", "env", "deployment/notifier", "SMS_URL=http://relay.messaging.svc/send", "-n", "messaging"
    )
    stage.calm()
    stage.wait(days=4)
    note = "retired: notifier sends through relay; kept at 0 until the next quarter"
    stage.kubectl("annotate", "deployment/sms-bridge", "-n", "messaging", f"ops.example.com/note={note}")
    stage.kubectl("scale", "deployment/sms-bridge", "--replicas=0", "-n", "messaging")
    stage.delete("services/messaging/sms-bridge")
    stage.calm()
    stage.wait(days=21, hours=4)

    stage.apply(RULES)
    stage.wait(minutes=24)
    stage.log("messaging/notifier", "INFO sent channel=sms via=relay status=202 took=88ms\nINFO sent channel=mail status=250 took=41ms\nINFO sent channel=sms via=relay status=202 took=93ms", every_s=4)  # fmt: skip
    stage.log("messaging/relay", "INFO POST /send 202 71ms\nINFO POST /send 202 76ms", every_s=4)

    def series(job: str, count: int, level: float) -> list[tuple[dict[str, str], list[float]]]:
        pods = [pod["metadata"]["name"] for pod in stage.pods(f"messaging/{job}")][:count]
        return [({"namespace": "messaging", "job": job, "pod": pod}, [level] * 120) for pod in pods]

    stage.metric("targets_up", 'up{namespace="messaging"}', [*series("notifier", 3, 1), *series("relay", 2, 1), *series("templates", 2, 1)])  # fmt: skip
    stage.metric(
        "messages_sent", 'sum by (channel, result) (rate(notifier_messages_total[5m]))',
        [
            ({"channel": "sms", "result": "ok"}, [2.1, 2.3, 2.0, 2.2] * 30),
            ({"channel": "sms", "result": "error"}, [0.0] * 120),
            ({"channel": "mail", "result": "ok"}, [9.6, 9.9, 9.4, 9.8] * 30),
        ],
    )  # fmt: skip
    stage.fire(minutes_ago=13)
