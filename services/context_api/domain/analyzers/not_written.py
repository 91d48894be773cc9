"""Secrets and ConfigMaps that a workload or a route waits for and that another object was to write.

Sees, for every name a workload uses and that is not there, whether a Certificate, an ExternalSecret, a sealed or a
Vault secret says that it writes an object of that name. Then the fault lies with the writer, or with the store or the
issuer it names, not with the workload that uses it.
Cannot see writers that no object tells of: a script, a pipeline, a person.

Rests on: cert-manager.io/docs, "Certificate resource" (secretName); external-secrets.io, "ExternalSecret" (target);
kubernetes.io/docs, "Secrets" (a pod does not start without one it names).
"""

from __future__ import annotations

from collections.abc import Iterator

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.kube import conditions, entries, pod_spec, text
from services.context_api.domain.logs import cut, is_narrative
from services.context_api.domain.observation import Blame, Depth, Explains, Observation
from services.context_api.domain.redact import redact
from services.context_api.domain.references import references
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import name_of

NAME = "not_written"


def observe(scene: Scene) -> Iterator[Observation]:
    """One observation per writer whose object somebody misses."""
    users: dict[int, tuple[KubeObject, str, dict[int, tuple[KubeObject, str]]]] = {}
    for user, kind, name, where in _wanted(scene):
        if scene.graph.get(kind, user.namespace, name) is not None:
            continue
        for writer in scene.platforms.should_make(kind, user.namespace, name):
            top = scene.graph.top(user)
            users.setdefault(id(writer), (writer, f"{kind} {user.namespace}/{name}", {}))[2].setdefault(
                id(top), (top, where)
            )
    for writer, what, by_top in users.values():
        yield _observation(scene, writer, what, list(by_top.values()))


def _wanted(scene: Scene) -> Iterator[tuple[KubeObject, str, str, str]]:
    """(user, kind, name, where) of what cannot be done without."""
    for workload in scene.graph.workloads:
        for use in references(pod_spec(workload)):
            if use.kind in ("Secret", "ConfigMap") and not use.optional:
                yield workload, use.kind, use.name, use.where
    for route in scene.graph.of_kind("Ingress"):
        for tls in entries(route.spec.get("tls")):
            if text(tls.get("secretName")):
                yield route, "Secret", text(tls.get("secretName")), "spec.tls"


def _observation(
    scene: Scene, writer: KubeObject, what: str, users: list[tuple[KubeObject, str]]
) -> Observation:
    said = next(
        (
            f"{c.type}={c.status} {c.reason}: `{cut(redact(c.message), 260)}`"
            for c in conditions(writer)
            if c.status == "False" and c.message and not is_narrative(c.message)
        ),
        "",
    )
    words = f"{name_of(writer)} should write {what}, which does not exist; {', '.join(name_of(u) for u, _ in users[:3])} needs it ({users[0][1]})"
    words += f"; it says {said}" if said else ""
    return Observation(
        about=writer,
        reason="SecretNotWritten" if what.startswith("Secret") else "ConfigNotWritten",
        text=words,
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.88 if said else 0.8,
        facts=(evidence.field(writer, "what it writes", {"object": what, "says": said}, cut(words, 400)),),
        basis=("its spec names what is missing", *(["its own conditions say why"] if said else [])),
        remediation=remedies.look(writer, f"Find out why {name_of(writer)} does not write {what}."),
        blames=tuple(
            Blame(link.to, 0.88, f"{name_of(writer)} names it ({link.where})")
            for link in scene.platforms.needs(writer)
        ),
        explains=tuple(Explains(u, 0.93, f"{name_of(writer)} has not written {what}") for u, _ in users),
    )
