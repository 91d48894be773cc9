"""An engineer let one pod of the next version run beside the old ones and paused the rollout; a rule counts two versions."""

from __future__ import annotations

from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter
from tests.incidents.manifests import kube_prometheus
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="TwoImagesOfOneContainer of quote: 7.4.0 is on one pod beside five of 7.3.2, as its rollout was paused by hand this evening",
    half=Half.tuned,
    story=(
        "For want of a canary controller the pension team lets the first pod of a release run alone for a night: set the image, pause the rollout, compare, resume. Both versions answer equally well."
        " The rule fires when a container has two images for more than two hours. The Deployment says DeploymentPaused, and its change cause says what was meant. factors was edited"
        " at noon, and letters was rolled out last week."
    ),
    sources=[
        "https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#pausing-and-resuming-a-deployment",
        "https://kubernetes.io/docs/reference/kubectl/generated/kubectl_rollout/kubectl_rollout_pause/",
        "https://github.com/kubernetes/kube-state-metrics/blob/main/docs/metrics/workload/pod-metrics.md",
    ],
    labels=kube_prometheus("TwoImagesOfOneContainer", namespace="pension", container="quote"),
    annotations={"summary": "Containers quote of pension have run 2 different images for more than two hours."},
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
)  # fmt: skip

NEXT = "registry.example.com/pension/quote:7.4.0"


def play(stage: Stage) -> None:
    quote = deployment(
        "pension/quote", container("quote", "pension/quote:7.3.2", port=8080, ready="/ready", alive="/alive", cpu="200m", memory=("256Mi", "512Mi"), env={"DB_HOST": "contracts.pension.svc", "FACTORS": "/etc/quote/factors.yaml"}, mounts={"factors": "/etc/quote"}),
        replicas=5, pod={"volumes": [{"name": "factors", "configMap": {"name": "factors"}}]}, strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
    )  # fmt: skip
    quote["metadata"]["annotations"] = {"kubernetes.io/change-cause": "7.3.2, all pods"}
    stage.apply([
        *system(),
        quote, service("pension/quote", 80, 8080),
        config_map("pension/factors", {"factors.yaml": "table: 2026-07\nrate: 0.0025\n"}),
        stateful_set("pension/contracts", container("postgres", "postgres:17.6", port=5432, memory=("1Gi", "2Gi"))), service("pension/contracts", 5432, headless=True),
        deployment("pension/letters", container("letters", "pension/letters:3.8.0", port=8080, ready="/ready", env={"QUOTE_URL": "http://quote.pension.svc"})), service("pension/letters", 80, 8080),
        deployment("members/portal", container("portal", "members/portal:19.5.0", port=3000, ready="/up", env={"QUOTE_URL": "http://quote.pension.svc"}), replicas=3), service("members/portal", 80, 3000),
        deployment("members/sign-in", container("sign-in", "members/sign-in:8.1.2", port=8080, ready="/ready")), service("members/sign-in", 80, 8080),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=8, hours=3)
    stage.recovered(f"members/{stage.pods('members/sign-in')[0]['metadata']['name']}", restarts=1, code=1, lived_s=300000)  # fmt: skip
    stage.wait(days=6, hours=22)
    stage.kubectl("set", "image", "deployment/letters", "letters=registry.example.com/pension/letters:3.8.1", "-n", "pension")  # fmt: skip
    stage.calm()
    stage.wait(days=7, hours=2, minutes=30)
    stage.edit("configmaps/pension/factors", lambda body: body["data"].update({"factors.yaml": "table: 2026-07\nrate: 0.0026\n"}))  # fmt: skip
    stage.wait(hours=5, minutes=10)
    _first_one(stage)
    stage.wait(hours=2, minutes=29)
    stage.heartbeat()
    _logs(stage)
    _metrics(stage)
    stage.fire(minutes_ago=28)


def _first_one(stage: Stage) -> None:
    """Set the image, pause as soon as the first new pod is made, and let that one become ready."""
    stage.kubectl("annotate", "deployment/quote", "-n", "pension", "--overwrite", "kubernetes.io/change-cause=7.4.0, one pod over night, the others on Thursday")  # fmt: skip
    stage.hold("pension/quote-")
    stage.kubectl("set", "image", "deployment/quote", f"quote={NEXT}", "-n", "pension")
    stage.placed("pension/quote-", 6)
    stage.kubectl("rollout", "pause", "deployment/quote", "-n", "pension")
    stage.release("pension/quote-")
    stage.calm(unfinished=["pension/quote"])


def _logs(stage: Stage) -> None:
    for pod in stage.pods("pension/quote-"):
        version = pod["spec"]["containers"][0]["image"].rpartition(":")[2]
        said = "WARN  quote: retirement age of <1950-1963> is taken from the table of 2012" if version == "7.3.2" else "WARN  quote: setting rounding is deprecated since 7.4, use scale"  # fmt: skip
        chatter(stage, f"pension/{pod['metadata']['name']}", [
            "INFO  quote: POST /quotes 200 <20-60>ms", "INFO  quote: POST /quotes 200 <20-60>ms", said,
            "INFO  quote: POST /quotes 422 <5-12>ms, date of birth lies in the future", "INFO  quote: POST /quotes 200 <20-60>ms",
        ], count=40, minutes=58)  # fmt: skip
    chatter(stage, "pension/letters", ["INFO  letters: letter <100000-999999> set in <1-4>s"], minutes=58)
    chatter(stage, "pension/contracts", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time"], count=10, minutes=58)  # fmt: skip
    chatter(stage, "members/portal", ["GET /quote 200 <30-90>ms", "GET / 200 <5-20>ms"], minutes=58)
    chatter(stage, "members/sign-in", ["INFO sign-in: signed in <10000-99999>", "ERROR sign-in: wrong password of <10000-99999>"], minutes=58)  # fmt: skip


def _metrics(stage: Stage) -> None:
    """Every two minutes for eight hours; the new version has answered for the last 149 minutes."""
    count, step, since = 240, 120, 74
    here: Body = {"namespace": "pension", "container": "quote"}
    old, new = {**here, "version": "7.3.2"}, {**here, "version": "7.4.0"}
    stage.metric("images", 'count by (namespace, container, image) (kube_pod_container_info{namespace="pension",container="quote"})', [
        ({**here, "image": "registry.example.com/pension/quote:7.3.2"}, [5.0] * count),
        ({**here, "image": NEXT}, [1.0] * since),
    ], step_s=step)  # fmt: skip
    stage.metric("available", "kube_deployment_status_replicas_available", [
        ({"namespace": "pension", "deployment": "quote"}, [*[5.0] * (count - since), *[6.0] * since]),
    ], step_s=step)  # fmt: skip
    stage.metric("requests", 'sum by (namespace, container, version) (rate(http_requests_total{namespace="pension",container="quote"}[5m]))', [
        (old, [*about(24, count - since, noise=0.1), *about(20, since, noise=0.1)]), (new, about(4, since, noise=0.1)),
    ], step_s=step)  # fmt: skip
    stage.metric("failed", 'sum by (namespace, container, version) (rate(http_requests_total{namespace="pension",container="quote",code=~"5.."}[5m])) / sum by (namespace, container, version) (rate(http_requests_total{namespace="pension",container="quote"}[5m]))', [
        (old, about(0.0004, count, noise=0.9)), (new, about(0.0004, since, noise=0.9, of="new")),
    ], step_s=step)  # fmt: skip
    stage.metric("p99", 'histogram_quantile(0.99, sum by (namespace, container, version, le) (rate(http_request_duration_seconds_bucket{namespace="pension",container="quote"}[5m])))', [
        (old, about(0.118, count, noise=0.08)), (new, about(0.113, since, noise=0.08)),
    ], step_s=step)  # fmt: skip
