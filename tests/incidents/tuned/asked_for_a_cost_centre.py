"""A policy whose binding only writes to the audit log finds what it was made to find on the day of the releases; a rule counts it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="AdmissionPolicyViolations of cost-centre: its binding is for the audit log alone, and on the Thursday of the releases most workloads have no such label yet",
    half=Half.tuned,
    story=(
        "On Tuesday the platform's people bound a ValidatingAdmissionPolicy that asks for a label cost-centre, with validationActions [Audit]: they want to know who lacks it. Nothing is refused and"
        " nobody is warned. On Thursdays at one all teams release, so that within an hour eight writes lack the label. The rule counts every check that does not end with allow."
        " All releases went out. The other policy, which does refuse, has refused nothing. levels-2025 has no pods since its data moved."
    ),
    sources=[
        "https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/",
        "https://kubernetes.io/docs/reference/instrumentation/metrics/",
        "https://github.com/kubernetes/kubernetes/blob/master/staging/src/k8s.io/apiserver/pkg/admission/plugin/policy/validating/metrics/metrics.go",
    ],
    labels={"alertname": "AdmissionPolicyViolations", "severity": "critical", "policy": "cost-centre", "policy_binding": "cost-centre-everywhere", "team": "platform"},
    annotations={
        "summary": "Many requests violate admission policy cost-centre.",
        "description": "8 requests of the last hour violated ValidatingAdmissionPolicy cost-centre (binding cost-centre-everywhere). Releases may be blocked.",
    },
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
    authored=["prometheus-operator objects"],
)  # fmt: skip

RULE = """\
sum by (policy, policy_binding) (increase(apiserver_validating_admission_policy_check_total{enforcement_action!="allow"}[1h])) > 5
"""
POLICIES = datetime(2026, 11, 17, 10, 40, tzinfo=UTC)
RELEASES = datetime(2026, 11, 19, 13, 2, tzinfo=UTC)
NOW = datetime(2026, 11, 19, 13, 58, tzinfo=UTC)


def _policy(name: str, resources: list[str], expression: str, message: str) -> Body:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name, "annotations": {"example.com/owner": "platform"}},
        "spec": {
            "failurePolicy": "Ignore",
            "matchConstraints": {"resourceRules": [{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": resources}]},
            "validations": [{"expression": expression, "message": message}],
        },
    }  # fmt: skip


def _binding(name: str, policy: str, action: str) -> Body:
    return {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name}, "spec": {"policyName": policy, "validationActions": [action]}}  # fmt: skip


def play(stage: Stage) -> None:
    stage.crd("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules")
    stage.apply([
        *system(),
        deployment("lamplight/lanterns", container("lanterns", "lamplight/lanterns:5.1.0", port=8080, ready="/ready", alive="/alive", env={"ROUTES_URL": "http://rounds.lamplight.svc"}), replicas=3), service("lamplight/lanterns", 80, 8080),
        deployment("lamplight/rounds", container("rounds", "lamplight/rounds:2.8.0", port=8080, ready="/ready")), service("lamplight/rounds", 80, 8080),
        deployment("sluices/gates", container("gates", "sluices/gates:11.0.4", port=8080, ready="/ready", env={"LEVELS_URL": "http://levels.sluices.svc"}), labels={"cost-centre": "4410"}), service("sluices/gates", 80, 8080),
        deployment("sluices/levels", container("levels", "sluices/levels:6.3.0", port=8080, ready="/ready", env={"DB_HOST": "gauge-readings.sluices.svc"}), labels={"cost-centre": "4410"}), service("sluices/levels", 80, 8080),
        stateful_set("sluices/gauge-readings", container("postgres", "postgres:17.6", port=5432, memory=("512Mi", "1Gi"))), service("sluices/gauge-readings", 5432, headless=True),
        deployment("sluices/levels-2025", container("levels", "sluices/levels:4.9.9", port=8080, ready="/ready"), replicas=0),
        deployment("night-bus/stops", container("stops", "night-bus/stops:1.20.0", port=8080, ready="/ready"), replicas=2), service("night-bus/stops", 80, 8080),
        deployment("night-bus/passes", container("passes", "night-bus/passes:3.3.3", port=8080, ready="/ready", env={"STOPS_URL": "http://stops.night-bus.svc"})), service("night-bus/passes", 80, 8080),
        config_map("night-bus/timetable", {"n1.csv": "00:10,00:40,01:10\n"}),
        {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": {"name": "admission", "namespace": "kube-system"}, "spec": {"groups": [{"name": "admission", "rules": [
            {"alert": "AdmissionPolicyViolations", "expr": RULE, "labels": {"severity": "critical", "team": "platform"}, "annotations": {"summary": "Many requests violate admission policy {{ $labels.policy }}."}},
        ]}]}},
        _policy("fifty-at-most", ["deployments"], "object.spec.replicas <= 50", "a Deployment may have fifty pods at most"),
        _binding("fifty-at-most", "fifty-at-most", "Deny"),
    ])  # fmt: skip
    stage.calm()
    stage.clock.until(datetime(2026, 11, 12, 13, 20, tzinfo=UTC))
    for name, image in (("lanterns", "5.2.0"), ("rounds", "2.8.1")):
        _release(stage, f"lamplight/{name}", image)
    stage.clock.until(datetime(2026, 11, 14, 3, 31, tzinfo=UTC))
    stage.recovered(f"night-bus/{stage.pods('night-bus/stops')[0]['metadata']['name']}", restarts=1, code=137, reason="OOMKilled", lived_s=900000)  # fmt: skip
    stage.calm()
    stage.clock.until(POLICIES)
    stage.apply([
        _policy("cost-centre", ["deployments", "statefulsets", "daemonsets"], "has(object.metadata.labels) && 'cost-centre' in object.metadata.labels", "workloads need a label cost-centre from 2027 on"),
        _binding("cost-centre-everywhere", "cost-centre", "Audit"),
    ])  # fmt: skip
    stage.clock.until(RELEASES)
    _release(stage, "lamplight/lanterns", "5.3.0")
    stage.wait(minutes=9)
    _release(stage, "night-bus/stops", "1.21.0")
    _release(stage, "night-bus/passes", "3.4.0")
    stage.wait(minutes=14)
    _release(stage, "sluices/levels", "6.4.0")
    stage.edit("configmaps/night-bus/timetable", lambda body: body["data"].update({"n1.csv": "00:10,00:40,01:10,01:40\n"}))  # fmt: skip
    stage.wait(minutes=12)
    _release(stage, "lamplight/rounds", "2.9.0")
    stage.clock.until(NOW)
    stage.heartbeat()
    _logs(stage)
    _metrics(stage)
    stage.fire(minutes_ago=44)


def _release(stage: Stage, place: str, version: str) -> None:
    namespace, name = place.split("/")
    stage.kubectl("set", "image", f"deployment/{name}", f"{name}=registry.example.com/{place}:{version}", "-n", namespace, "--field-manager=release-train")  # fmt: skip
    stage.calm()


def _logs(stage: Stage) -> None:
    chatter(stage, "lamplight/lanterns", ["INFO  lanterns: GET /streets/<100-900> 200 <6-30>ms", "WARN  lanterns: lamp <1000-9999> reports an error, work order written"], count=24, minutes=50)  # fmt: skip
    chatter(
        stage, "lamplight/rounds", ["INFO  rounds: round <1-60> planned in <90-400>ms"], count=12, minutes=16
    )
    chatter(stage, "sluices/gates", ["INFO  gates: gate <1-14> at <10-90> %", "WARN  gates: order refused: gate <1-14> is locked for maintenance"], count=20, minutes=50)  # fmt: skip
    chatter(stage, "sluices/levels-", ["INFO  levels: GET /levels/<1-14> 200 <3-12>ms"], count=16, minutes=28)
    chatter(stage, "sluices/gauge-readings", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time"], count=5, minutes=50)  # fmt: skip
    chatter(
        stage, "night-bus/stops", ["INFO  stops: GET /stops/<100-900> 200 <4-14>ms"], count=16, minutes=44
    )
    chatter(stage, "night-bus/passes", ["INFO  passes: pass <1000-9999> checked in <4-20>ms", "ERROR passes: pass <1000-9999> refused: not valid today"], count=20, minutes=44)  # fmt: skip
    chatter(stage, "kube-system/coredns", ["[INFO] plugin/reload: Running configuration SHA512 = 77c1be20<1000-9999>"], count=1, minutes=50)  # fmt: skip


def _metrics(stage: Stage) -> None:
    """Every ten minutes for eight days. A release is two writes: that of the train, and the controller's for the revision."""
    count, step, known = 8 * 144, 600, 307

    def at(ages: Mapping[int, float]) -> list[float]:
        values = [0.0] * count
        for minutes, number in ages.items():
            values[count - 1 - minutes // 10] = number
        return values

    last_week = 7 * 1440 + 30
    writes = at({last_week: 4, 50: 2, 40: 4, 30: 2, 20: 2})
    lacking, having = at({50: 2, 40: 4, 20: 2})[-known:], at({30: 2})[-known:]
    stage.metric("writes", 'sum by (resource) (increase(apiserver_request_total{group="apps",resource=~"deployments|statefulsets|daemonsets",subresource="",verb=~"POST|PUT|PATCH"}[10m]))', [
        ({"resource": "deployments"}, writes),
    ], step_s=step)  # fmt: skip
    stage.metric("refused", 'sum by (resource) (increase(apiserver_request_total{group="apps",resource=~"deployments|statefulsets|daemonsets",verb=~"POST|PUT|PATCH",code=~"4(03|22)"}[10m]))', [
        ({"resource": "deployments"}, [0.0] * count),
    ], step_s=step)  # fmt: skip
    mine, other = {"policy": "cost-centre", "policy_binding": "cost-centre-everywhere"}, {"policy": "fifty-at-most", "policy_binding": "fifty-at-most"}  # fmt: skip
    stage.metric("checks", "sum by (policy, policy_binding, enforcement_action) (increase(apiserver_validating_admission_policy_check_total[10m]))", [
        ({**mine, "enforcement_action": "audit"}, lacking),
        ({**mine, "enforcement_action": "allow"}, having),
        ({**other, "enforcement_action": "allow"}, writes),
        ({**other, "enforcement_action": "deny"}, [0.0] * count),
    ], step_s=step)  # fmt: skip
    stage.metric("unavailable", 'sum by (namespace) (kube_deployment_status_replicas_unavailable)', [
        ({"namespace": name}, [0.0] * count) for name in ("lamplight", "sluices", "night-bus")
    ], step_s=step)  # fmt: skip
    stage.metric("errors", 'sum by (namespace) (rate(http_requests_total{code=~"5.."}[5m])) / sum by (namespace) (rate(http_requests_total[5m]))', [
        ({"namespace": name}, about(0.0003, count, noise=0.9, of=name)) for name in ("lamplight", "sluices", "night-bus")
    ], step_s=step)  # fmt: skip
