"""Certificates past their time that something serves or checks.

Sees the dates of certificates in Secrets (the only thing of their content a recording keeps), which workloads and
routes use them, and clients whose logs complain about certificates. An expired certificate nobody uses is no fault; one
that lies beside a valid one which took its place, while no client complains, is latent.
Cannot see certificates that do not lie in Secrets, nor a chain's other links.

Rests on: kubernetes.io/docs, "Secrets" (TLS); RFC 5280 (validity).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.focus import concerned
from services.context_api.domain.kube import entries, mapping, text
from services.context_api.domain.observation import Blame, Depth, Explains, Observation
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject, parse_time
from services.context_api.domain.uses import used_by
from services.context_api.domain.wording import clock, name_of

NAME = "certificate_expired"
_SERVED = "tls.crt"
"""What a server takes from a Secret, whatever else lies there."""

_AUTHORITY = frozenset({"ca", "cas", "cacert", "cacerts", "rootca", "truststore"})
"""Words in the names of keys that hold an authority's certificate."""

_AGES = frozenset({"old", "previous", "prev", "former", "last", "backup", "bak", "retired", "next", "new"})
"""Words that tell which of several with one use is not the one in use; years do as well, small numbers count servers."""

_SAY_NOTHING = frozenset({"current", "active", "crt", "cert", "cer", "pem"})
_BETWEEN = re.compile(r"[._-]+")
_YEAR = re.compile(r"\d{4,}")


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """One observation per Secret with a certificate that is not valid now and is used."""
    # Of several the last is told, one that nothing excuses before the others.
    dated = sorted(_invalid(scene), key=lambda one: not _is_replaced(one[0], one[1], scene.now))
    bad = {id(one[0]): one for one in dated}
    if not bad:
        return
    users: dict[int, list[KubeObject]] = {}
    for workload in scene.graph.workloads:
        for _, found in used_by(scene.graph, workload, "Secret"):
            if id(found) in bad:
                users.setdefault(id(found), []).append(scene.graph.top(workload))
    for route in scene.graph.of_kind("Ingress"):
        for tls in entries(route.spec.get("tls")):
            shown = scene.graph.get("Secret", route.namespace, text(tls.get("secretName")))
            if shown is not None and id(shown) in bad:
                users.setdefault(id(shown), []).append(route)
    for key_id, owners in users.items():
        secret, key, when, early = bad[key_id]
        yield _observation(scene, secret, key, when, early, owners, _complaining(scene, seen, owners))


def _invalid(scene: Scene) -> Iterator[tuple[KubeObject, str, datetime, bool]]:
    for secret in scene.graph.of_kind("Secret"):
        for key, summary in mapping(secret.body.get("dataSummary")).items():
            after, before = (parse_time(mapping(summary).get(field)) for field in ("not_after", "not_before"))
            if after is not None and after < scene.now:
                yield secret, str(key), after, False
            elif before is not None and before > scene.now:
                yield secret, str(key), before, True


def _complaining(scene: Scene, seen: Sequence[Observation], owners: list[KubeObject]) -> list[KubeObject]:
    """Workloads in trouble whose logs complain about TLS towards what serves the certificate."""
    serving = {id(o) for o in owners}
    found = []
    for top in concerned(scene, seen):
        for said in scene.deps.spoken(top):
            if said.trouble == "tls" and (
                said.found is None or any(id(b) in serving for b in scene.deps.behind(said.found))
            ):
                found.append(top)
                break
    return found


def _observation(
    scene: Scene,
    secret: KubeObject,
    key: str,
    when: datetime,
    early: bool,
    owners: list[KubeObject],
    clients: list[KubeObject],
) -> Observation:
    state = f"is not valid before {clock(when)}" if early else f"expired at {clock(when)}"
    spare = not clients and _is_replaced(secret, key, scene.now)
    makers = [
        o
        for o in scene.snapshot.of_kind("Certificate", secret.namespace)
        if text(o.spec.get("secretName")) == secret.name
    ]
    return Observation(
        about=secret,
        reason="CertificateNotYetValid" if early else "CertificateExpired",
        text=f"The certificate `{key}` of {name_of(secret)}, used by {', '.join(name_of(o) for o in owners[:3])}, {state}"
        + (f"; {name_of(makers[0])} should renew it" if makers else ""),
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.9,
        facts=(
            evidence.field(
                secret,
                f"data.{key}",
                {"not_after" if not early else "not_before": clock(when)},
                f"{name_of(secret)}: {key} {state}",
            ),
        ),
        basis=("the certificate's own dates against the time of the recording",),
        onset=when,
        remediation=remedies.look(
            makers[0] if makers else secret,
            f"Renew the certificate in {name_of(secret)} and restart what reads it only at its start.",
        ),
        blames=tuple(Blame(m, 0.9, f"it should renew {name_of(secret)}") for m in makers),
        explains=tuple(
            Explains(t, 0.92, "it serves or checks an invalid certificate", deepest=Depth.process)
            for t in {id(t): t for t in (*owners, *clients)}.values()
        ),
        latent=spare,
    )


def _is_replaced(secret: KubeObject, key: str, now: datetime) -> bool:
    """Whether a valid one beside it took its place: it is an authority's, or only words for its age tell it from that one.

    An authority is good for ten years: that it is valid says nothing of what a server shows.
    """
    valid = [other for other, begins, ends in _dates(secret) if begins <= now < ends]
    if _is_authority(key):
        return bool(valid)
    role = _role(key)
    return (
        key != _SERVED
        and role != frozenset(_words(key))
        and any(not _is_authority(other) and (not role or _role(other) == role) for other in valid)
    )


def _dates(secret: KubeObject) -> Iterator[tuple[str, datetime, datetime]]:
    for key, summary in mapping(secret.body.get("dataSummary")).items():
        begins, ends = (parse_time(mapping(summary).get(field)) for field in ("not_before", "not_after"))
        if begins is not None and ends is not None:
            yield str(key), begins, ends


def _words(key: str) -> list[str]:
    return [word for word in _BETWEEN.split(key.lower()) if word and word not in _SAY_NOTHING]


def _role(key: str) -> frozenset[str]:
    """What a key is for, by its name without words and years that only tell how old it is."""
    return frozenset(w for w in _words(key) if w not in _AGES and not _YEAR.fullmatch(w))


def _is_authority(key: str) -> bool:
    return not _AUTHORITY.isdisjoint(_words(key))
