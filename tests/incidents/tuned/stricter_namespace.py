"""A namespace's pod security level was raised; the next restart makes no pods and a client elsewhere alerts."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.manifests import deployment, kube_prometheus
from tests.incidents.stage import Stage
from tests.incidents.workloads import service

INCIDENT = Incident(
    title="Pods that a stricter namespace does not admit leave a dependency without any",
    half=Half.tuned,
    story="The namespace gets the label that enforces the restricted profile. The thumbnailer runs as root and is restarted "
    "by its release robot; no pod is admitted. The gallery of another namespace fails its readiness.",
    sources=["https://kubernetes.io/docs/concepts/security/pod-security-admission/"],
    labels=kube_prometheus("KubeDeploymentReplicasMismatch", namespace="gallery", deployment="gallery"),
    causes=["Namespace/_cluster/media", "Deployment/media/thumbnailer"],
    says=[["restricted"], ["PodSecurity", "pod security"], ["thumbnailer"]],
    innocent=["Deployment/gallery/gallery", "Service/media/thumbnailer"],
    traits=frozenset({Trait.innocent}),
)

MANIFESTS = [
    deployment("media/thumbnailer", "media/thumbnailer:4.2.0", port=8080, spec={"strategy": {"type": "Recreate"}}),
    service("media/thumbnailer", 8080),
    deployment("media/catalogue", "media/catalogue:1.0.3", port=8080),
    deployment(
        "gallery/gallery", "gallery/gallery:12.0.0", port=3000, ready="/ready", env={"THUMBS": "http://thumbnailer.media.svc:8080"},
    ),
    service("gallery/gallery", 80, target=3000),
]  # fmt: skip

LOG = """
E, [2026-11-14T10:11:12.001 #1] ERROR -- : Faraday::ConnectionFailed: Failed to open TCP connection to thumbnailer.media.svc:8080 (Connection refused - connect(2) for "thumbnailer.media.svc" port 8080)
W, [2026-11-14T10:11:13.377 #1]  WARN -- : readiness: thumbnails unavailable
"""


def play(stage: Stage) -> None:
    stage.apply(MANIFESTS)
    stage.calm()
    stage.wait(days=11)
    stage.kubectl("label", "namespace", "media", "pod-security.kubernetes.io/enforce=restricted")
    stage.wait(minutes=25)
    stage.restart("deployments/media/thumbnailer", manager="release-robot")
    stage.calm(unfinished=["media/thumbnailer"])
    stage.cluster.until(
        "pods refused",
        lambda: any(
            e["reason"] == "FailedCreate"
            for e in stage.cluster.ask("GET", "/api/v1/namespaces/media/events")["items"]
        ),
    )
    stage.unready("gallery/gallery", "HTTP probe failed with statuscode: 503", count=2, failures=70)
    stage.log("gallery/gallery", LOG)
    stage.wait(minutes=20)
    stage.fire(minutes_ago=3)
