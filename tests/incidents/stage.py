"""The means to play an incident on the test bed: people's acts, kubelets' reports, time, logs, metrics, an alert.

Controllers and the scheduler are real, so what they do is never written here. Kubelets and everything that no
control plane keeps (logs, metrics, the alert) are played, and so is the status of platforms whose controllers do not
run on the test bed; `Stage.authored` collects what was.

    def play(stage: Stage) -> None:
        stage.apply(MANIFESTS)                  # kubectl apply; then everything becomes ready by itself
        stage.calm()
        stage.wait(days=12)
        stage.kubectl("set", "image", "deployment/web", "web=registry.example.com/web:2.1.0", "-n", "shop")
        stage.crash("shop/web", code=1, log="panic: missing flag --region", held=True)
        stage.fire(minutes_ago=5)
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from copy import deepcopy

import yaml

from tests.incidents.chronicle import Body
from tests.incidents.kubelets import Kubelets
from tests.testbed.cluster import CallFailed, Cluster
from tests.testbed.kubelet import stamp

__all__ = ["CONTROLLERS", "Body", "Stage"]

CONTROLLERS = ("*", "-cronjob-controller")
"""The CronJob controller would start a run for the machine's hour, not for the story's."""


class Stage(Kubelets):
    """One cluster with three nodes (`node-a` …), at 2026-11-03 09:12 of the story."""

    def __init__(self, cluster: Cluster, nodes: Sequence[str] = ("node-a", "node-b", "node-c")) -> None:
        super().__init__(cluster, nodes)

    # --- people -----------------------------------------------------------------------------------------------

    def apply(self, manifests: str | Sequence[Body], *, manager: str = "") -> None:
        """`kubectl apply` of YAML text or objects; namespaces that they name are made first."""
        objects = (
            [o for o in yaml.safe_load_all(manifests) if o] if isinstance(manifests, str) else list(manifests)
        )
        for namespace in sorted({o["metadata"].get("namespace", "") for o in objects} - {""}):
            self.namespace(namespace)
        manager_words = [f"--field-manager={manager}"] if manager else []
        document = {"apiVersion": "v1", "kind": "List", "items": objects}
        self.cluster.kubectl("apply", *manager_words, "-f", "-", input=json.dumps(document))

    def namespace(self, name: str) -> None:
        """Make it unless it is there; usable at once."""
        try:
            self.cluster.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        except CallFailed as error:
            if error.code != 409:
                raise
        account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
        self.cluster.until(f"namespace {name} usable", lambda: self._there(account))

    def kubectl(self, *words: str) -> str:
        return self.cluster.kubectl(*words)

    def edit(self, what: str, change: Callable[[Body], object], *, manager: str = "kubectl-edit") -> None:
        """Change an object as `kubectl edit` does; `what` is RESOURCE/NAMESPACE/NAME, `_cluster` for none.

        As a patch: `kubectl replace` would write the last-applied annotation anew, which `kubectl edit` leaves alone.
        """
        resource, namespace, name = what.split("/")
        place = [] if namespace == "_cluster" else ["-n", namespace]
        before = json.loads(self.cluster.kubectl("get", resource, name, *place, "-o", "json"))
        after = deepcopy(before)
        change(after)
        patch = json.dumps(merge_patch(before, after))
        self.cluster.kubectl(
            "patch", resource, name, *place, "--type=merge", f"--field-manager={manager}", "-p", patch
        )

    def restart(self, what: str, *, manager: str = "kubectl-rollout") -> None:
        """`kubectl rollout restart` of RESOURCE/NAMESPACE/NAME, at the story's time.

        kubectl would write the machine's time into the pod template, and templates keep what they say (`clock.py`).
        """
        resource, namespace, name = what.split("/")
        mark = {"kubectl.kubernetes.io/restartedAt": stamp(self.now)}
        self.cluster.kubectl(
            "patch", resource, name, "-n", namespace, f"--field-manager={manager}",
            "-p", json.dumps({"spec": {"template": {"metadata": {"annotations": mark}}}}),
        )  # fmt: skip

    def delete(self, what: str) -> None:
        """RESOURCE/NAMESPACE/NAME, without waiting for its end."""
        resource, namespace, name = what.split("/")
        place = [] if namespace == "_cluster" else ["-n", namespace]
        self.cluster.kubectl("delete", resource, name, *place, "--wait=false")

    def get(self, what: str) -> Body:
        resource, namespace, name = what.split("/")
        place = [] if namespace == "_cluster" else ["-n", namespace]
        return self.cluster.get(resource, name, *place)

    # --- controllers that do not run here ---------------------------------------------------------------------

    def crd(self, group: str, version: str, kind: str, plural: str, *, namespaced: bool = True) -> None:
        """Define a kind whose controller does not run on the test bed; any fields, with a status of its own."""
        schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        # Kubernetes' own groups, such as the Gateway API's, are refused without it.
        approved = {"api-approved.kubernetes.io": "https://github.com/kubernetes/enhancements/pull/1111"}
        body = {
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.{group}", "annotations": approved if group.endswith(".k8s.io") else {}},
            "spec": {
                "group": group, "scope": "Namespaced" if namespaced else "Cluster",
                "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
                "versions": [{"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}, "subresources": {"status": {}}}],
            },
        }  # fmt: skip
        self.cluster.kubectl("apply", "-f", "-", input=json.dumps(body))
        self.cluster.kubectl("wait", "--for=condition=Established", f"crd/{plural}.{group}", "--timeout=30s")
        self.cluster.until(
            f"{plural}.{group} served", lambda: self._there(f"/apis/{group}/{version}/{plural}")
        )

    def status(self, what: str, status: Body, *, manager: str) -> None:
        """Write a status as its controller would; times in it are the cluster's: use `stage.stamp()`."""
        resource, namespace, name = what.split("/")
        place = [] if namespace == "_cluster" else ["-n", namespace]
        self.cluster.kubectl(
            "patch", resource, name, *place, "--subresource=status", "--type=merge", f"--field-manager={manager}",
            "-p", json.dumps({"status": status}),
        )  # fmt: skip

    def event(
        self,
        about: Body,
        reason: str,
        message: str,
        *,
        kind: str = "Warning",
        component: str = "",
        count: int = 1,
        minutes_ago: float = 0,
    ) -> None:
        """An event of a controller that does not run here; `about` is the whole object (`stage.get`)."""
        meta = about["metadata"]
        at = stamp(self._real(self.ago(minutes=minutes_ago)))
        namespace = meta.get("namespace", "default")
        self.cluster.ask("POST", f"/api/v1/namespaces/{namespace}/events?fieldManager={component or 'controller'}", {
            "metadata": {"name": f"{meta['name']}.{time.time_ns():x}"},
            "involvedObject": {"apiVersion": about["apiVersion"], "kind": about["kind"], "name": meta["name"], "uid": meta["uid"],
                               **({"namespace": meta["namespace"]} if "namespace" in meta else {})},
            "reason": reason, "message": message, "type": kind, "count": count,
            "firstTimestamp": at, "lastTimestamp": at, "source": {"component": component}, "reportingComponent": component,
        })  # fmt: skip

    def _there(self, path: str) -> bool:
        try:
            self.cluster.ask("GET", path)
        except CallFailed as error:
            # 429 is how the API server says that a new kind's storage is not open yet.
            if error.code not in (404, 429):
                raise
            return False
        return True


def merge_patch(before: Body, after: Body) -> Body:
    """The JSON merge patch (RFC 7386) that makes `after` of `before`."""
    patch: Body = {key: None for key in before if key not in after}
    for key, value in after.items():
        old = before.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            if inner := merge_patch(old, value):
                patch[key] = inner
        elif key not in before or old != value:
            patch[key] = value
    return patch
