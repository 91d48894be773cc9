"""The first build of an image fails at its source, so the program that should run it finds none."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.stage import Stage

INCIDENT = Incident(
    title="A BuildConfig cannot fetch its source, and the workload waits for an image that was never made",
    half=Half.tuned,
    story="A new studio is set up from templates. Its BuildConfig names a deploy key that may not read the repository: "
    "both builds fail, the image stream stays empty, and the pods find no image.",
    sources=[
        "https://docs.openshift.com/container-platform/4.17/cicd/builds/understanding-image-builds.html",
        "https://docs.openshift.com/container-platform/4.17/openshift_images/triggering-updates-on-imagestream-changes.html",
    ],
    labels={"alertname": "KubeDeploymentReplicasMismatch", "namespace": "studio", "deployment": "render"},
    causes=["BuildConfig/studio/render"],
    says=[["build"], ["FetchSourceFailed", "fetch"], ["render"]],
    innocent=["Deployment/studio/render"],
    traits=frozenset({Trait.innocent}),
    authored=["openshift build status", "openshift image stream status"],
)

REGISTRY = "registry.example.com/studio/render"

MANIFESTS = f"""
apiVersion: image.openshift.io/v1
kind: ImageStream
metadata: {{name: render, namespace: studio}}
spec: {{lookupPolicy: {{local: false}}}}
---
apiVersion: build.openshift.io/v1
kind: BuildConfig
metadata: {{name: render, namespace: studio}}
spec:
  source: {{type: Git, git: {{uri: "ssh://git@git.example.com/studio/render.git", ref: main}}, sourceSecret: {{name: deploy-key}}}}
  strategy: {{type: Docker, dockerStrategy: {{dockerfilePath: Containerfile}}}}
  output: {{to: {{kind: ImageStreamTag, name: "render:latest"}}}}
---
apiVersion: v1
kind: Secret
metadata: {{name: deploy-key, namespace: studio}}
type: kubernetes.io/ssh-auth
stringData: {{ssh-privatekey: not-a-key}}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: render
  namespace: studio
  annotations:
    image.openshift.io/triggers: '[{{"from":{{"kind":"ImageStreamTag","name":"render:latest"}},"fieldPath":"spec.template.spec.containers[?(@.name==\\"render\\")].image"}}]'
spec:
  replicas: 2
  selector: {{matchLabels: {{app: render}}}}
  template:
    metadata: {{labels: {{app: render}}}}
    spec:
      containers:
      - name: render
        image: {REGISTRY}:latest
        ports: [{{containerPort: 8080}}]
"""


def play(stage: Stage) -> None:
    stage.crd("image.openshift.io", "v1", "ImageStream", "imagestreams")
    stage.crd("build.openshift.io", "v1", "BuildConfig", "buildconfigs")
    stage.crd("build.openshift.io", "v1", "Build", "builds")
    stage.hold("studio/render")
    stage.apply(MANIFESTS)
    stage.status(
        "imagestreams.image.openshift.io/studio/render",
        {"dockerImageRepository": REGISTRY, "tags": []},
        manager="openshift-apiserver",
    )
    _build(stage, 1)
    stage.wait(minutes=7)
    _build(stage, 2)
    why = f'failed to pull and unpack image "{REGISTRY}:latest": failed to resolve reference "{REGISTRY}:latest": {REGISTRY}:latest: not found'
    stage.stuck(
        "studio/render", "ImagePullBackOff", f'Back-off pulling image "{REGISTRY}:latest": ErrImagePull: rpc error: code = NotFound desc = {why}',
        event=("Failed", f'Failed to pull image "{REGISTRY}:latest": rpc error: code = NotFound desc = {why}'), count=2,
    )  # fmt: skip
    stage.wait(minutes=16)
    stage.fire(minutes_ago=4)


def _build(stage: Stage, number: int) -> None:
    config = stage.get("buildconfigs.build.openshift.io/studio/render")
    meta = config["metadata"]
    owner = {
        "apiVersion": config["apiVersion"],
        "kind": "BuildConfig",
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
    }
    name = f"render-{number}"
    began = stage.now
    stage.apply(
        [{
            "apiVersion": "build.openshift.io/v1", "kind": "Build", "spec": config["spec"],
            "metadata": {"name": name, "namespace": "studio", "ownerReferences": [owner], "labels": {"buildconfig": "render"},
                         "annotations": {"openshift.io/build.number": str(number)}},
        }],
        manager="openshift-controller-manager",
    )  # fmt: skip
    stage.wait(seconds=25)
    stage.status(
        f"builds.build.openshift.io/studio/{name}",
        {
            "phase": "Failed", "reason": "FetchSourceFailed", "message": "Failed to fetch the input source.",
            "startTimestamp": stage.stamp(at=began), "completionTimestamp": stage.stamp(), "config": {"kind": "BuildConfig", "name": "render", "namespace": "studio"},
            "logSnippet": "Cloning \"ssh://git@git.example.com/studio/render.git\" ...\nerror: git@git.example.com: Permission denied (publickey).",
            "outputDockerImageReference": f"{REGISTRY}:latest",
        },
        manager="openshift-controller-manager",
    )  # fmt: skip
