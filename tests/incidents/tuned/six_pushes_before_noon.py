"""Somebody pushes faster than the image is built; queued builds give way to the newest one, and a rule counts them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256

from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, secret, service, stateful_set

INCIDENT = Incident(
    title="BuildsNotCompleted of menu: three queued builds gave way to newer pushes, as SerialLatestOnly has it; the newest commit is built and runs",
    half=Half.tuned,
    story=(
        "The BuildConfig runs one build at a time and only the newest of those that wait. A person pushed six times within half an hour; 58, 59 and 61 were Cancelled before they began, 57, 60 and 62"
        " completed. The image of 62, which has the last commit, was rolled out nine minutes ago. The controller's words for it are those of a build that a person cancels. It was so on Monday too."
        " The rule counts builds of the last hour that did not complete."
    ),
    sources=[
        "https://docs.openshift.com/dedicated/3/dev_guide/builds/build_run_policy.html",
        "https://github.com/openshift/openshift-controller-manager/blob/master/pkg/build/controller/policy/serial_latest_only.go",
        "https://github.com/openshift/openshift-state-metrics/blob/master/docs/build-metrics.md",
    ],
    labels={"alertname": "BuildsNotCompleted", "severity": "critical", "job": "openshift-state-metrics", "namespace": "canteen", "buildconfig": "menu", "team": "kitchen"},
    annotations={"summary": "More than two builds of menu did not complete within an hour.", "description": "3 builds of BuildConfig canteen/menu were Cancelled, Failed or ended with Error."},
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
    authored=["openshift builds", "image stream status", "prometheus-operator objects"],
)  # fmt: skip

BUILD = "build.openshift.io"
IMAGE = "image.openshift.io"
MANAGER = "openshift-controller-manager"
REGISTRY = "registry.example.com/canteen/menu"
MESSAGES = {
    54: "Week 47", 55: "Week 47, no nuts", 56: "Week 47, soup on Thursday",
    57: "Allergens from the supplier's list", 58: "Fix spelling of celery", 59: "Fix spelling of celeriac", 60: "Show allergens below the dish",
    61: "Smaller letters for allergens", 62: "Smaller letters for allergens, darker",
}  # fmt: skip
RULE = """\
count by (namespace, buildconfig) (
  openshift_build_status_phase_total{build_phase=~"cancelled|failed|error"} == 1
    and on (namespace, build) (time() - openshift_build_created_timestamp_seconds < 3600)
) > 2
"""


def _commit(number: int) -> str:
    return sha256(f"menu/{number}".encode()).hexdigest()[:40]


def _digest(number: int) -> str:
    return "sha256:" + sha256(f"image/{number}".encode()).hexdigest()


def play(stage: Stage) -> None:
    stage.crd(IMAGE, "v1", "ImageStream", "imagestreams")
    stage.crd(BUILD, "v1", "BuildConfig", "buildconfigs")
    stage.crd(BUILD, "v1", "Build", "builds")
    stage.crd("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules")
    menu = deployment("canteen/menu", container("menu", f"canteen/menu@{_digest(53)}", port=8080, ready="/ready", alive="/alive", env={"DISHES": "dishes.canteen.svc:5432"}), replicas=2)  # fmt: skip
    menu["metadata"]["annotations"] = {"image.openshift.io/triggers": '[{"from":{"kind":"ImageStreamTag","name":"menu:latest"},"fieldPath":"spec.template.spec.containers[?(@.name==\\"menu\\")].image"}]'}  # fmt: skip
    stage.apply([
        {"apiVersion": f"{IMAGE}/v1", "kind": "ImageStream", "metadata": {"name": "menu", "namespace": "canteen"}, "spec": {"lookupPolicy": {"local": False}}},
        {"apiVersion": f"{BUILD}/v1", "kind": "BuildConfig", "metadata": {"name": "menu", "namespace": "canteen", "labels": {"app": "menu"}}, "spec": {
            "runPolicy": "SerialLatestOnly", "successfulBuildsHistoryLimit": 5, "failedBuildsHistoryLimit": 5,
            "source": {"type": "Git", "git": {"uri": "https://git.example.com/canteen/menu.git", "ref": "main"}},
            "strategy": {"type": "Docker", "dockerStrategy": {"dockerfilePath": "Containerfile"}}, "output": {"to": {"kind": "ImageStreamTag", "name": "menu:latest"}},
            "triggers": [{"type": "GitLab", "gitlab": {"secretReference": {"name": "menu-hook"}}}, {"type": "ConfigChange"}],
        }},
        secret("canteen/menu-hook", {"WebHookSecretKey": "not-a-key"}),
        menu, service("canteen/menu", 80, 8080),
        stateful_set("canteen/dishes", container("postgres", "postgres:17.6", port=5432, memory=("512Mi", "1Gi"))), service("canteen/dishes", 5432, headless=True),
        deployment("canteen/orders-of-the-day", container("orders", "canteen/orders:4.4.0", port=8080, ready="/ready", env={"MENU_URL": "http://menu.canteen.svc"})), service("canteen/orders-of-the-day", 80, 8080),
        config_map("canteen/opening-hours", {"hours.yaml": "open: '11:30'\nclose: '14:00'\n"}),
        deployment("openshift-controller-manager/controller-manager", container("controller-manager", "ocp/openshift-controller-manager:v4.18.27", port=8443, memory=("128Mi", "512Mi")), replicas=1),
        deployment("openshift-image-registry/image-registry", container("registry", "ocp/image-registry:v4.18.27", port=5000, ready="/healthz"), replicas=1), service("openshift-image-registry/image-registry", 5000),
        deployment("office/rooms", container("rooms", "office/rooms:2.2.9", port=8080, ready="/up")), service("office/rooms", 80, 8080),
        {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": {"name": "builds", "namespace": "canteen"}, "spec": {"groups": [{"name": "builds", "rules": [
            {"alert": "BuildsNotCompleted", "expr": RULE, "for": "1m", "labels": {"severity": "critical", "team": "kitchen"}, "annotations": {"summary": "More than two builds of {{ $labels.buildconfig }} did not complete within an hour."}},
        ]}]}},
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=13, hours=1, minutes=7)
    _push(stage, 54)
    _build(stage, 54, (4, 55), (3, 56))
    _build(stage, 56)
    stage.wait(hours=22)
    stage.recovered(f"canteen/{stage.pods('canteen/orders-of-the-day')[0]['metadata']['name']}", restarts=1, code=2, lived_s=600000)  # fmt: skip
    stage.calm()
    stage.wait(days=1, hours=1)
    stage.edit("configmaps/canteen/opening-hours", lambda body: body["data"].update({"hours.yaml": "open: '11:15'\nclose: '14:00'\n"}))  # fmt: skip
    stage.wait(minutes=12)
    _push(stage, 57)
    _build(stage, 57, (3, 58), (3, 59), (2.5, 60))
    _build(stage, 60, (4, 61), (6, 62))
    _build(stage, 62)
    stage.wait(minutes=9)
    stage.heartbeat()
    _logs(stage)
    _metrics(stage)
    stage.fire(minutes_ago=23)


def _push(stage: Stage, number: int) -> None:
    """The hook makes a build, which waits."""
    config = stage.get(f"buildconfigs.{BUILD}/canteen/menu")
    owner = {"apiVersion": config["apiVersion"], "kind": "BuildConfig", "name": "menu", "uid": config["metadata"]["uid"], "controller": True}  # fmt: skip
    spec = {key: value for key, value in config["spec"].items() if key in ("source", "strategy", "output")}
    person = {"name": "Ilse Brandt", "email": "ilse.brandt@example.com"}
    stage.apply([{
        "apiVersion": f"{BUILD}/v1", "kind": "Build",
        "metadata": {
            "name": f"menu-{number}", "namespace": "canteen", "ownerReferences": [owner], "labels": {"buildconfig": "menu", "openshift.io/build-config.name": "menu", "openshift.io/build.start-policy": "SerialLatestOnly"},
            "annotations": {"openshift.io/build-config.name": "menu", "openshift.io/build.number": str(number)},
        },
        "spec": {
            **spec, "revision": {"type": "Git", "git": {"commit": _commit(number), "author": person, "committer": person, "message": MESSAGES[number]}},
            "triggeredBy": [{"message": "GitLab WebHook"}],
        },
    }], manager="openshift-apiserver")  # fmt: skip
    stage.status(f"builds.{BUILD}/canteen/menu-{number}", {"phase": "New", "config": {"kind": "BuildConfig", "name": "menu", "namespace": "canteen"}, "outputDockerImageReference": f"{REGISTRY}:latest"}, manager="openshift-apiserver")  # fmt: skip
    stage.status(f"buildconfigs.{BUILD}/canteen/menu", {"lastVersion": number}, manager="openshift-apiserver")


def _give_way(stage: Stage, number: int) -> None:
    what = f"builds.{BUILD}/canteen/menu-{number}"
    stage.status(what, {
        "cancelled": True, "phase": "Cancelled", "reason": "CancelledBuild", "message": "The build was cancelled by the user.", "completionTimestamp": stage.stamp(),
    }, manager=MANAGER)  # fmt: skip
    stage.event(stage.get(what), "BuildCancelled", f"Build canteen/menu-{number} has been cancelled", kind="Normal", component="build-controller")  # fmt: skip


def _build(stage: Stage, number: int, *pushes: tuple[float, int], lasts: float = 13) -> None:
    """Run a build; others are pushed meanwhile, so many minutes one after another."""
    what = f"builds.{BUILD}/canteen/menu-{number}"
    build = stage.get(what)
    owner = {"apiVersion": build["apiVersion"], "kind": "Build", "name": f"menu-{number}", "uid": build["metadata"]["uid"], "controller": True}  # fmt: skip
    stage.apply([{
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": f"menu-{number}-build", "namespace": "canteen", "ownerReferences": [owner], "labels": {"openshift.io/build.name": f"menu-{number}"}, "annotations": {"openshift.io/build.name": f"menu-{number}"}},
        "spec": {"restartPolicy": "Never", "containers": [container("docker-build", "ocp/docker-builder:v4.18.27", cpu="300m", memory=("512Mi", "2Gi"))]},
    }], manager=MANAGER)  # fmt: skip
    pod = stage.pod(f"canteen/menu-{number}-build")
    kubelet = stage.kubelets[pod["spec"]["nodeName"]]
    began = stage.now + timedelta(seconds=2)
    kubelet.started(pod, at=stage.clock.real(began))
    stage.status(what, {"phase": "Running", "startTimestamp": stage.stamp(at=began)}, manager=MANAGER)
    stage.event(stage.get(what), "BuildStarted", f"Build canteen/menu-{number} is now running", kind="Normal", component="build-controller")  # fmt: skip
    waits: list[int] = []
    for minutes, pushed in pushes:
        stage.wait(minutes=minutes)
        _push(stage, pushed)
        for one in waits:
            _give_way(stage, one)
        waits = [pushed]
    stage.wait(minutes=lasts - sum(minutes for minutes, _ in pushes))
    kubelet.complete(stage.pod(f"canteen/menu-{number}-build"), began=stage.clock.real(began), ended=stage.clock.real(stage.now))  # fmt: skip
    _completed(stage, number)
    stage.log(f"canteen/menu-{number}-build", printed(began, _said(number), every_s=(lasts * 60 - 30) / len(_said(number))))  # fmt: skip


def _completed(stage: Stage, number: int) -> None:
    what, reference = f"builds.{BUILD}/canteen/menu-{number}", f"{REGISTRY}@{_digest(number)}"
    stage.status(what, {"phase": "Complete", "completionTimestamp": stage.stamp(), "output": {"to": {"imageDigest": _digest(number)}}}, manager=MANAGER)  # fmt: skip
    stage.event(stage.get(what), "BuildCompleted", f"Build canteen/menu-{number} completed successfully", kind="Normal", component="build-controller")  # fmt: skip
    stage.status(f"imagestreams.{IMAGE}/canteen/menu", {
        "dockerImageRepository": REGISTRY, "tags": [{"tag": "latest", "items": [{"created": stage.stamp(), "dockerImageReference": reference, "image": _digest(number), "generation": number}]}],
    }, manager="openshift-apiserver")  # fmt: skip
    stage.kubectl("set", "image", "deployment/menu", f"menu={reference}", "-n", "canteen", f"--field-manager={MANAGER}")  # fmt: skip
    stage.calm()


def _said(number: int) -> Sequence[str]:
    return [
        f'Cloning "https://git.example.com/canteen/menu.git" ...\n\tCommit:\t{_commit(number)} ({MESSAGES[number]})\n\tAuthor:\tIlse Brandt <ilse.brandt@example.com>',
        "STEP 1/9: FROM registry.example.com/base/node:24",
        "STEP 4/9: RUN npm ci",
        "npm warn deprecated glob@7.2.3: Glob versions prior to v9 are no longer supported",
        "STEP 6/9: RUN npm test",
        "  ok 41 - an unknown dish is refused with an error",
        "STEP 8/9: COPY --from=0 /app/dist /srv",
        f"Pushing image {REGISTRY}:latest ...",
        "Successfully pushed " + f"{REGISTRY}@{_digest(number)}",
        "Push successful",
    ]


def _logs(stage: Stage) -> None:
    chatter(stage, "canteen/menu-", ["INFO  menu: GET /today 200 <4-20>ms", "INFO  menu: GET /week 200 <6-24>ms"], count=16, minutes=8, container="menu")  # fmt: skip
    for number in (54, 56, 57, 60, 62):
        # The line above would give the builds' pods the program's words.
        for key in [key for key in stage.logs if key[1] == f"menu-{number}-build" and key[2] == "menu"]:
            del stage.logs[key]
    chatter(stage, "canteen/orders-of-the-day", ["INFO  orders: order <1000-9999> taken", "ERROR orders: order <1000-9999> refused: dish is sold out"], minutes=55)  # fmt: skip
    chatter(stage, "canteen/dishes", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time"], count=5, minutes=55)  # fmt: skip
    chatter(stage, "openshift-controller-manager/controller-manager", [
        'I<%m%d %H:%M:%S.%3>201       1 build_controller.go:<400-900>] "build is not runnable by its policy yet" build="canteen/menu"',
        'I<%m%d %H:%M:%S.%3>533       1 image_trigger_controller.go:<300-400>] "resource is up to date with its triggers" resource="deployments.apps/canteen/menu"',
        'E<%m%d %H:%M:%S.%3>087       1 imagestream_controller.go:136] Error syncing image stream "office/old-logo": no repository of that name',
    ], count=15, minutes=45)  # fmt: skip
    chatter(stage, "openshift-image-registry/image-registry", ['time="<%Y-%m-%dT%H:%M:%S.%3>Z" level=info msg=response http.request.method=HEAD http.request.uri=/v2/canteen/menu/manifests/latest http.response.status=200', 'time="<%Y-%m-%dT%H:%M:%S.%3>Z" level=warning msg="error authorizing context: authentication required" http.request.method=GET http.request.uri=/v2/'], count=14, minutes=45)  # fmt: skip
    chatter(stage, "office/rooms", ["GET /rooms 200 <4-12>ms"], count=12, minutes=55)


def _metrics(stage: Stage) -> None:
    """Every five minutes for three days."""
    count = 864
    here: Body = {"namespace": "canteen", "service": "menu"}
    stage.metric("cancelled", 'count by (namespace, build_phase) (openshift_build_status_phase_total{namespace="canteen",build_phase="cancelled"} == 1)', [
        ({"namespace": "canteen", "build_phase": "cancelled"}, [*[1.0] * 571, 2.0, 3.0, 3.0, *[4.0] * 6]),
    ], step_s=300)  # fmt: skip
    stage.metric("complete", 'count by (namespace, build_phase) (openshift_build_status_phase_total{namespace="canteen",build_phase="complete"} == 1)', [
        ({"namespace": "canteen", "build_phase": "complete"}, [*[2.0] * 568, 3.0, 3.0, 3.0, 4.0, 4.0, 4.0, 5.0, 5.0]),
    ], step_s=300)  # fmt: skip
    stage.metric("available", 'kube_deployment_status_replicas_available{namespace="canteen",deployment="menu"}', [({"namespace": "canteen", "deployment": "menu"}, [2.0] * count)], step_s=300)  # fmt: skip
    stage.metric("errors", 'sum by (namespace, service) (rate(http_requests_total{namespace="canteen",code=~"5.."}[5m])) / sum by (namespace, service) (rate(http_requests_total{namespace="canteen"}[5m]))', [(here, about(0.0002, count, noise=0.9))], step_s=300)  # fmt: skip
    stage.metric("p99", 'histogram_quantile(0.99, sum by (namespace, service, le) (rate(http_request_duration_seconds_bucket{namespace="canteen"}[5m])))', [(here, about(0.031, count, noise=0.12))], step_s=300)  # fmt: skip
