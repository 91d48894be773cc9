"""A BuildConfig is pointed at a branch that does not exist, so the release's image was never built."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.stage import Body, Stage
from tests.testbed.kubelet import Container, terminated

INCIDENT = Incident(
    title="A release waits for an image whose build could not fetch its source",
    half=Half.blind,
    story="For release 5.1 the BuildConfig's git ref is set to release-5.1, which nobody has pushed; the branch is "
    "called release/5.1. The build fails, image stream tag 5.1 stays empty, and the Deployment that was set to 5.1 "
    "cannot pull.",
    sources=[
        "https://docs.openshift.com/container-platform/4.16/cicd/builds/troubleshooting-builds.html",
        "https://docs.openshift.com/container-platform/4.16/rest_api/workloads_apis/build-build-openshift-io-v1.html",
        "https://github.com/openshift/origin/issues/15169",
        "https://github.com/siamaksade/openshift-jenkins-demo/issues/25",
    ],
    labels={
        "alertname": "KubeDeploymentRolloutStuck",
        "namespace": "media",
        "deployment": "thumbnailer",
        "job": "kube-state-metrics",
        "severity": "warning",
    },
    causes=["BuildConfig/media/thumbnailer", "Build/media/thumbnailer-8"],
    says=[
        ["release-5.1"],
        ["FetchSourceFailed", "fetch the input source", "fetch source", "pathspec", "did not match"],
    ],
    innocent=["Deployment/media/thumbnailer"],
    traits=frozenset({Trait.innocent}),
    authored=["openshift builds and image streams", "build pod"],
)

WORKLOAD = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: media}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers:
      - {{name: {name}, image: "registry.example.com/media/{name}:{tag}", ports: [{{containerPort: 8080}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: media}}
spec: {{selector: {{app: {name}}}, ports: [{{port: 80, targetPort: 8080}}]}}
"""

MANAGER = "openshift-controller-manager"
LOG = """
Cloning "https://git.example.com/media/thumbnailer.git" ...
error: pathspec 'release-5.1' did not match any file(s) known to git
"""


def play(stage: Stage) -> None:
    stage.crd("build.openshift.io", "v1", "BuildConfig", "buildconfigs")
    stage.crd("build.openshift.io", "v1", "Build", "builds")
    stage.crd("image.openshift.io", "v1", "ImageStream", "imagestreams")
    for name, replicas, tag in (
        ("thumbnailer", 3, "5.0"),
        ("watermark", 2, "2.8"),
        ("transcoder", 2, "14.2"),
    ):
        stage.apply(WORKLOAD.format(name=name, replicas=replicas, tag=tag))
        stage.apply([_stream(name), _config(name, f"release/{tag}", tag)])
        _built(stage, name, {"thumbnailer": 7, "watermark": 3, "transcoder": 11}[name], f"release/{tag}", tag)
    stage.calm()
    stage.wait(days=21, hours=1)

    stage.edit("buildconfigs.build.openshift.io/media/thumbnailer", _release, manager="oc")
    _failed_build(stage)
    stage.wait(minutes=9)
    image = "registry.example.com/media/thumbnailer:5.1"
    before = {pod["metadata"]["name"] for pod in stage.pods("media/thumbnailer")}
    stage.hold("media/thumbnailer")
    stage.kubectl("set", "image", "deployment/thumbnailer", f"thumbnailer={image}", "-n", "media")
    fresh = next(p for p in stage.placed("media/thumbnailer", 5) if p["metadata"]["name"] not in before)
    stage.wait(minutes=2)
    why = f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": {image}: not found'
    stage.stuck(
        f"media/{fresh['metadata']['name']}", "ImagePullBackOff",
        f'Back-off pulling image "{image}": ErrImagePull: rpc error: code = NotFound desc = {why}',
        event=("Failed", f'Failed to pull image "{image}": rpc error: code = NotFound desc = {why}'),
    )  # fmt: skip
    stage.wait(minutes=11)
    stage.cluster.until("the deadline is passed", lambda: _late(stage))
    stage.wait(minutes=17)
    stage.fire(minutes_ago=2)


def _late(stage: Stage) -> bool:
    found = stage.get("deployments/media/thumbnailer")["status"]["conditions"]
    return any(one.get("reason") == "ProgressDeadlineExceeded" for one in found)


def _release(body: Body) -> None:
    body["spec"]["source"]["git"]["ref"] = "release-5.1"
    body["spec"]["output"]["to"]["name"] = "thumbnailer:5.1"


def _stream(name: str) -> Body:
    return {
        "apiVersion": "image.openshift.io/v1", "kind": "ImageStream", "metadata": {"name": name, "namespace": "media"},
        "spec": {"lookupPolicy": {"local": False}},
    }  # fmt: skip


def _config(name: str, ref: str, tag: str) -> Body:
    return {
        "apiVersion": "build.openshift.io/v1", "kind": "BuildConfig", "metadata": {"name": name, "namespace": "media", "labels": {"app": name}},
        "spec": {**_build_spec(name, ref, tag), "runPolicy": "Serial", "successfulBuildsHistoryLimit": 5, "failedBuildsHistoryLimit": 5, "triggers": [{"type": "ConfigChange"}]},
    }  # fmt: skip


def _build_spec(name: str, ref: str, tag: str) -> Body:
    return {
        "source": {"type": "Git", "git": {"uri": f"https://git.example.com/media/{name}.git", "ref": ref}},
        "strategy": {"type": "Docker", "dockerStrategy": {}},
        "output": {"to": {"kind": "ImageStreamTag", "name": f"{name}:{tag}"}},
        "resources": {}, "postCommit": {}, "nodeSelector": None,
    }  # fmt: skip


def _build(stage: Stage, name: str, number: int, ref: str, tag: str) -> Body:
    owner = stage.get(f"buildconfigs.build.openshift.io/media/{name}")["metadata"]
    stage.apply([{
        "apiVersion": "build.openshift.io/v1", "kind": "Build",
        "metadata": {
            "name": f"{name}-{number}", "namespace": "media",
            "labels": {"app": name, "buildconfig": name, "openshift.io/build-config.name": name, "openshift.io/build.start-policy": "Serial"},
            "annotations": {"openshift.io/build-config.name": name, "openshift.io/build.number": str(number), "openshift.io/build.pod-name": f"{name}-{number}-build"},
            "ownerReferences": [{"apiVersion": "build.openshift.io/v1", "kind": "BuildConfig", "name": name, "uid": owner["uid"], "controller": True}],
        },
        "spec": {**_build_spec(name, ref, tag), "serviceAccount": "builder", "triggeredBy": [{"message": "Build configuration change"}]},
    }], manager=MANAGER)  # fmt: skip
    stage.status(f"buildconfigs.build.openshift.io/media/{name}", {"lastVersion": number}, manager=MANAGER)
    return stage.get(f"builds.build.openshift.io/media/{name}-{number}")


def _phase(stage: Stage, name: str, number: int, tag: str, phase: str, **more: str) -> None:
    now = stage.stamp()
    stage.status(f"builds.build.openshift.io/media/{name}-{number}", {
        "phase": phase, "startTimestamp": stage.stamp(minutes_ago=0.1), "completionTimestamp": now,
        "config": {"kind": "BuildConfig", "namespace": "media", "name": name}, "output": {},
        "outputDockerImageReference": f"registry.example.com/media/{name}:{tag}",
        "conditions": [
            {"type": kind, "status": "True" if kind == phase else "False", "lastTransitionTime": now, "lastUpdateTime": now,
             **({key: more[key] for key in ("reason", "message") if key in more} if kind == phase else {})}
            for kind in ("New", "Pending", "Running", phase)
        ],
        **more,
    }, manager=MANAGER)  # fmt: skip


def _built(stage: Stage, name: str, number: int, ref: str, tag: str) -> None:
    _build(stage, name, number, ref, tag)
    _phase(stage, name, number, tag, "Complete")
    digest = f"sha256:{number:02d}{'c41f7e9a03d85b26' * 4}"[:71]
    stage.status(f"imagestreams.image.openshift.io/media/{name}", {
        "dockerImageRepository": f"registry.example.com/media/{name}",
        "tags": [{"tag": tag, "items": [{
            "created": stage.stamp(), "dockerImageReference": f"registry.example.com/media/{name}@{digest}", "image": digest, "generation": 1,
        }]}],
    }, manager="image-registry")  # fmt: skip


def _failed_build(stage: Stage) -> None:
    build = _build(stage, "thumbnailer", 8, "release-5.1", "5.1")
    place = "media/thumbnailer-8-build"
    stage.hold(place)
    owner = {"apiVersion": "build.openshift.io/v1", "kind": "Build", "name": "thumbnailer-8", "uid": build["metadata"]["uid"], "controller": True}  # fmt: skip
    stage.apply([{
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "thumbnailer-8-build", "namespace": "media", "ownerReferences": [owner],
            "labels": {"openshift.io/build.name": "thumbnailer-8"}, "annotations": {"openshift.io/build.name": "thumbnailer-8"},
        },
        "spec": {"restartPolicy": "Never", "containers": [{"name": "docker-build", "image": "registry.example.com/openshift/docker-builder:4.16.9", "args": ["openshift-docker-build"]}]},
    }], manager=MANAGER)  # fmt: skip
    began = stage.now
    stage.wait(seconds=7)
    pod = stage.pod(place)
    kubelet = stage.kubelets[pod["spec"]["nodeName"]]
    ended = Container(terminated(128, stage.clock.real(began), stage.clock.real(stage.now)))
    kubelet.started(pod, at=stage.clock.real(began))
    kubelet.report(pod, {"docker-build": ended}, at=stage.clock.real(stage.now), phase="Failed")
    stage.log(place, LOG, at=stage.ago(seconds=4))
    _phase(
        stage, "thumbnailer", 8, "5.1", "Failed", reason="FetchSourceFailed", message="Failed to fetch the input source.",
        logSnippet=LOG.strip(),
    )  # fmt: skip
    build = stage.get("builds.build.openshift.io/media/thumbnailer-8")
    stage.event(build, "BuildStarted", "Build media/thumbnailer-8 is now running", kind="Normal", component="build-controller")  # fmt: skip
    stage.event(build, "BuildFailed", "Build media/thumbnailer-8 failed", kind="Normal", component="build-controller")  # fmt: skip
