"""Words for what a person can do: the exact command, its risk, and how to undo it. Never done by us.

Names come from the API server (its own alphabet); anything else is quoted for a POSIX shell.
"""

from __future__ import annotations

import shlex

from libs.contracts.causes import Remediation
from services.context_api.domain.snapshot import KubeObject

_BUILT_IN = frozenset(
    {
        "",
        "apps",
        "batch",
        "autoscaling",
        "policy",
        "networking.k8s.io",
        "rbac.authorization.k8s.io",
        "storage.k8s.io",
    }
)


def resource(obj: KubeObject) -> str:
    """`deployment/api`, or `cluster.postgresql.cnpg.io/db` for what kubectl may not know by kind alone."""
    kind = obj.kind.lower() if obj.group in _BUILT_IN else f"{obj.kind}.{obj.group}".lower()
    return f"{kind}/{obj.name}"


def kubectl(obj: KubeObject, *words: str) -> str:
    """A kubectl command in the object's namespace; every word is quoted where a shell needs it."""
    place = ["-n", obj.namespace] if obj.namespace else []
    return " ".join(shlex.quote(word) for word in ["kubectl", *place, *words])


def undo_rollout(workload: KubeObject, why: str = "") -> Remediation:
    return Remediation(
        text=f"Return {workload.kind} {workload.name} to its previous revision{why}.",
        command=kubectl(workload, "rollout", "undo", resource(workload)),
        risk="Takes back everything the last revision brought, wanted changes too; its pods restart.",
        undo=kubectl(workload, "rollout", "undo", resource(workload)),
    )


def edit(obj: KubeObject, text: str, *, risk: str = "", restart: KubeObject | None = None) -> Remediation:
    """Correct the object by hand; `restart` names a workload that reads it only at its start."""
    command = kubectl(obj, "edit", resource(obj))
    if restart is not None:
        command += f" && {kubectl(restart, 'rollout', 'restart', resource(restart))}"
    return Remediation(
        text=text,
        command=command,
        risk=risk or "Takes effect at once for everything that uses it.",
        undo=f"Keep a copy first: {kubectl(obj, 'get', resource(obj), '-o', 'yaml')} > before.yaml; "
        "undo with kubectl replace -f before.yaml",
    )


def look(obj: KubeObject, text: str) -> Remediation:
    """Nothing to change yet: where to look next."""
    return Remediation(
        text=text, command=kubectl(obj, "describe", resource(obj)), risk="None; it only reads."
    )


def read_log(pod: KubeObject, container: str, text: str) -> Remediation:
    command = kubectl(pod, "logs", pod.name, "-c", container, "--previous", "--tail=100")
    return Remediation(text=text, command=command, risk="None; it only reads.")


def set_memory(workload: KubeObject, container: str, limit: str, before: str) -> Remediation:
    words = ("set", "resources", resource(workload), "-c", container)
    return Remediation(
        text=f"Raise the memory limit of container {container} (or find out why it needs more than {before}).",
        command=kubectl(workload, *words, f"--limits=memory={limit}"),
        risk="Its pods restart; the nodes must have the memory to give.",
        undo=kubectl(workload, *words, f"--limits=memory={before}"),
    )


def set_image(workload: KubeObject, container: str, image: str, now: str) -> Remediation:
    words = ("set", "image", resource(workload))
    return Remediation(
        text=f"Set container {container} to an image that can be pulled; `{image}` ran before.",
        command=kubectl(workload, *words, f"{container}={image}"),
        risk="Its pods restart with the older image.",
        undo=kubectl(workload, *words, f"{container}={now}"),
    )


def add_replicas(workload: KubeObject, count: int, now: int) -> Remediation:
    return Remediation(
        text=f"Let {workload.kind} {workload.name} run {count} replicas instead of {now}, or make each of them faster.",
        command=kubectl(workload, "scale", resource(workload), f"--replicas={count}"),
        risk="More pods need room on the nodes, and more connections where they ask.",
        undo=kubectl(workload, "scale", resource(workload), f"--replicas={now}"),
    )


def scale(workload: KubeObject, count: int) -> Remediation:
    return Remediation(
        text=f"Scale {workload.kind} {workload.name} up again.",
        command=kubectl(workload, "scale", resource(workload), f"--replicas={count}"),
        risk="Its pods start; whoever scaled it down may have had a reason.",
        undo=kubectl(workload, "scale", resource(workload), "--replicas=0"),
    )


def bind(role: KubeObject, namespace: str, account: str, within: str | None) -> Remediation:
    """Bind a role to a ServiceAccount, in one namespace or (None) everywhere."""
    what = "rolebinding" if within else "clusterrolebinding"
    place = ["-n", within] if within else []
    flag = "clusterrole" if role.namespace is None else "role"
    words = [what, role.name, f"--{flag}={role.name}", f"--serviceaccount={namespace}:{account}"]
    return Remediation(
        text=f"Bind {role.kind} {role.name} to ServiceAccount {namespace}/{account} (again).",
        command=" ".join(shlex.quote(word) for word in ["kubectl", *place, "create", *words]),
        risk="Grants everything the role allows; whoever removed the binding may have meant it.",
        undo=" ".join(shlex.quote(word) for word in ["kubectl", *place, "delete", what, role.name]),
    )
