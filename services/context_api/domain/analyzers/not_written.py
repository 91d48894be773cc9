"""Secrets and ConfigMaps that a workload or a route waits for and that another object was to write.

Sees, for every name a workload uses and that is not there, whether a Certificate, an ExternalSecret, a sealed or a
Vault secret, a claim or any custom resource says that it writes an object of that name. Then the fault lies with the
writer, or with the store or the issuer it names, not with the workload that uses it. So it does where the object is
there and grew old: its writer has not been well since before the workload's log began to complain that its credentials
or certificate are refused.
Nothing is missed by a workload that is asked to run no pod, nor from a writer that was made a moment ago and says nothing yet.
Cannot see writers that no object tells of: a script, a pipeline, a person.

Rests on: cert-manager.io/docs, "Certificate resource" (secretName); external-secrets.io, "ExternalSecret" (target);
kubernetes.io/docs, "Secrets" (a pod does not start without one it names).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.analyzers.unhealthy_condition import last_word
from services.context_api.domain.dependencies import trouble_in
from services.context_api.domain.kube import (
    WORKLOADS,
    Condition,
    conditions,
    entries,
    pod_spec,
    replicas,
    text,
)
from services.context_api.domain.logs import cut, is_narrative, quote
from services.context_api.domain.observation import Blame, Depth, Explains, Observation
from services.context_api.domain.redact import redact
from services.context_api.domain.references import references
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.trouble import troubles
from services.context_api.domain.uses import used_by
from services.context_api.domain.wording import clock, name_of

NAME = "not_written"
PATIENCE = timedelta(minutes=5)
"""How long a writer may take for the first time. A guess: certificates are signed in minutes where a name has to be proven."""

_RENEWING = frozenset({"external-secrets.io", "cert-manager.io", "secrets.hashicorp.com", "bitnami.com"})
"""Groups whose objects bring a Secret up to date again and again, and say when they cannot."""


def observe(scene: Scene) -> Iterator[Observation]:
    """One observation per writer whose object somebody misses."""
    if not scene.platforms.promise:
        return
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
        young = writer.created_at is not None and scene.now - writer.created_at < PATIENCE
        if young and not last_word(scene, writer):
            continue
        yield _observation(scene, writer, what, list(by_top.values()))


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """One observation per writer that no longer renews a Secret whose user is refused."""
    found: dict[int, tuple[KubeObject, Condition, KubeObject, list[tuple[KubeObject, str]]]] = {}
    for trouble in troubles(scene, seen):
        said = [s.line for s in scene.deps.spoken(trouble.top) if s.trouble in ("auth", "tls")]
        said += [line.text for line in trouble.lines if trouble_in(line.text) in ("auth", "tls")]
        for secret in _secrets(scene, trouble.top) if said else ():
            for writer in (
                *scene.platforms.should_make("Secret", secret.namespace, secret.name),
                *scene.platforms.makers(secret),
            ):
                failed = _failed_before(writer, trouble.onset)
                users = (
                    found.setdefault(id(writer), (writer, failed, secret, []))[3]
                    if failed is not None
                    else None
                )
                if users is not None and all(top is not trouble.top for top, _ in users):
                    users.append((trouble.top, said[0]))
    for writer, failed, secret, users in found.values():
        yield _not_renewed(scene, writer, failed, secret, users)


def _secrets(scene: Scene, top: KubeObject) -> list[KubeObject]:
    """The Secrets it reads that are there."""
    read = [
        secret
        for workload in scene.graph.workloads_of(top)
        for use, secret in used_by(scene.graph, workload, "Secret")
        if use.where != "imagePullSecrets"
    ]
    return list({id(s): s for s in read}.values())


def _failed_before(writer: KubeObject, onset: datetime | None) -> Condition | None:
    """The condition that says since when it does not do its work, if that is since before the trouble."""
    if writer.group not in _RENEWING:
        return None
    ready = next(
        (c for c in conditions(writer) if c.type in ("Ready", "Synced") and c.status == "False"), None
    )
    before = ready is not None and ready.since is not None and (onset is None or ready.since <= onset)
    return ready if before else None


def _not_renewed(
    scene: Scene,
    writer: KubeObject,
    failed: Condition,
    secret: KubeObject,
    users: list[tuple[KubeObject, str]],
) -> Observation:
    message = "" if is_narrative(failed.message) else cut(redact(failed.message), 260)
    top, line = users[0]
    words = (
        f"{name_of(writer)} has not renewed {name_of(secret)} since {clock(failed.since)} ({failed.type}={failed.status} "
        f"{failed.reason}: `{message}`); {name_of(top)}, which uses it, is refused: `{quote(line)}`"
    )
    return Observation(
        about=writer,
        reason="SecretNotRenewed",
        text=words,
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.82,
        facts=(
            evidence.field(writer, f"status.conditions[{failed.type}]", {"status": failed.status, "reason": failed.reason, "message": message}, cut(words, 400), failed.since),
        ),
        basis=("it writes the Secret and has not been well since before the trouble", "the log of who uses the Secret complains of credentials"),
        onset=failed.since,
        remediation=remedies.look(writer, f"Find out why {name_of(writer)} does not renew {name_of(secret)}."),
        blames=tuple(
            Blame(link.to, 0.88, f"{name_of(writer)} names it ({link.where})") for link in scene.platforms.needs(writer)
        ),
        explains=tuple(
            Explains(u, 0.9, f"{name_of(writer)} has not renewed {name_of(secret)}, which it uses", deepest=Depth.process)
            for u, _ in users
        ),
    )  # fmt: skip


def _wanted(scene: Scene) -> Iterator[tuple[KubeObject, str, str, str]]:
    """(user, kind, name, where) of what cannot be done without."""
    for workload in scene.graph.workloads:
        if workload.spec.get("suspend") is True or (workload.kind in WORKLOADS and replicas(workload) == 0):
            continue
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
    said = last_word(scene, writer)
    words = f"{name_of(writer)} should write {what}, which does not exist; {', '.join(name_of(u) for u, _ in users[:3])} needs it ({users[0][1]})"
    words += f"; {said}" if said else ""
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
