"""Certificates that whoever calls a host refuses: who serves that host, and what was changed about it.

Sees hosts in the words of whatever complains about a certificate (conditions, logs), finds what serves them: an Ingress
(`tls`), a Gateway's listener, or a controller whose `spec.domain` the host lies in, with the Secret each takes the
certificate from. It is a cause where the words tell that the certificate is for other names ("valid for a, not b"), or
where the one that serves, or its Secret, was changed within the hour before the complaint began.
Cannot see the names in a certificate, only what its caller says of them; nor what is served outside the cluster.

Rests on: RFC 6125 (names in certificates); kubernetes.io/docs, "Ingress" (TLS); gateway-api.sigs.k8s.io, "TLS";
docs.openshift.com, "Replacing the default ingress certificate".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.changes import applied_changes, last_edit
from services.context_api.domain.complaints import Complaint, complaints
from services.context_api.domain.kube import at, entries, is_custom, leaves, listing, strings, text
from services.context_api.domain.logs import cut
from services.context_api.domain.names import hosts_in
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.redact import redact
from services.context_api.domain.routes import covers
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import clock, name_of

NAME = "host_certificate"
BEFORE, SLACK = timedelta(hours=1), timedelta(seconds=90)
"""A changed certificate is refused by the next who asks. A guess, generous for those who ask seldom."""

_REFUSED = re.compile(
    r"x509: [^`\n]{1,200}|certificate verify failed[^`\n]{0,120}|certificate is valid for [^`\n]{1,160}"
)
_OTHER_NAMES = re.compile(r"valid for [^`\n]{1,160}, not |hostname mismatch|altnames|no alternative certificate subject name")  # fmt: skip
_CERTIFICATE = re.compile(r"certificate(?:\w*)(?:\[\d+\])?(?:\.(?:name|secretName))?$|tlsSecret(?:Name)?$", re.IGNORECASE)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Serves:
    """What presents a certificate to whoever calls a host."""

    by: KubeObject
    kept_in: str
    """Name of the Secret that it takes the certificate from."""
    where: str


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """One observation per object that serves a host whose certificate is refused."""
    found: dict[tuple[int, str], tuple[_Serves, str, str, list[Complaint]]] = {}
    for one in complaints(scene, seen, _REFUSED):
        refused = _REFUSED.search(one.words)
        for host in dict.fromkeys(h.name for h in hosts_in(one.words, spoken=True)):
            for serves in _serving(scene, host):
                key = (id(serves.by), serves.kept_in)
                victims = found.setdefault(key, (serves, host, refused[0] if refused else "", []))[3]
                if one not in victims:
                    victims.append(one)
    for serves, host, said, victims in found.values():
        since = min((o.onset for o in victims if o.onset), default=None)
        change = _changed(scene, serves, since)
        if change is not None or any(_OTHER_NAMES.search(o.words) for o in victims):
            yield _observation(serves, host, cut(redact(said), 240), victims, since, change)


def _serving(scene: Scene, host: str) -> Iterator[_Serves]:
    if scene.graph.names.find(host, None) is not None:
        return  # a Service's own name: its pods serve it
    for route in scene.graph.of_kind("Ingress"):
        for tls in entries(route.spec.get("tls")):
            if any(covers(name, host) for name in strings(tls.get("hosts"))) and text(tls.get("secretName")):
                yield _Serves(route, text(tls["secretName"]), "spec.tls")
    for gateway in scene.snapshot.of_kind("Gateway"):
        for listener in entries(gateway.spec.get("listeners")):
            references = entries(at(listener, "tls", "certificateRefs"))
            if references and covers(text(listener.get("hostname")), host):
                yield _Serves(gateway, text(references[0].get("name")), f"listener {text(listener.get('name'))}")  # fmt: skip
    for obj in scene.snapshot.objects:
        domain = text(obj.spec.get("domain")) if is_custom(obj) else ""
        if domain and host.endswith(f".{domain}"):
            for path, value in leaves(obj.spec, "spec"):
                if _CERTIFICATE.search(path):
                    yield _Serves(obj, value, path)


def _changed(scene: Scene, serves: _Serves, since: datetime | None) -> tuple[datetime, str] | None:
    """(when, in words) of the last change to what serves or to its Secret, if it was shortly before."""
    if since is None:
        return None
    edit = last_edit(serves.by)
    if edit is not None and since - BEFORE <= edit.at <= since + SLACK:
        known = [str(c) for c in applied_changes(serves.by, edit)] or [p for p in edit.paths if "ertificate" in p or "tls" in p]  # fmt: skip
        if known:
            return edit.at, f"{name_of(serves.by)} was edited at {clock(edit.at)} by {edit.by} ({listing(known, 3)})"  # fmt: skip
    for secret in _secrets(scene, serves):
        renewed = last_edit(secret)
        moment = renewed.at if renewed is not None else secret.created_at
        if moment is not None and since - BEFORE <= moment <= since + SLACK:
            return moment, f"{name_of(secret)} was {'edited' if renewed else 'made'} at {clock(moment)}"
    return None


def _secrets(scene: Scene, serves: _Serves) -> list[KubeObject]:
    """The Secret: beside what serves, else the only one of that name."""
    beside = scene.graph.get("Secret", serves.by.namespace, serves.kept_in)
    if beside is not None:
        return [beside]
    found = [o for o in scene.graph.of_kind("Secret") if o.name == serves.kept_in]
    return found if len(found) == 1 else []


def _observation(
    serves: _Serves,
    host: str,
    said: str,
    victims: Sequence[Complaint],
    since: datetime | None,
    change: tuple[datetime, str] | None,
) -> Observation:
    names = listing(list(dict.fromkeys(name_of(o.about) for o in victims)))
    words = f"{name_of(serves.by)} serves {host} with the certificate of Secret {serves.kept_in} ({serves.where}), which {names} refuse{'s' if len(victims) == 1 else ''}: `{said}`"
    words += f"; {change[1]}" if change is not None else ""
    return Observation(
        about=serves.by,
        reason="CertificateRefused",
        text=words,
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.9 if change is not None else 0.75,
        facts=(
            evidence.field(serves.by, serves.where, serves.kept_in, words),
            *(fact for o in victims[:2] for fact in o.facts[:1]),
        ),
        basis=(
            "those who call the host tell what is wrong with its certificate",
            *(("it was changed within the hour before that",) if change is not None else ()),
        ),
        onset=change[0] if change is not None else since,
        remediation=remedies.edit(
            serves.by,
            f"Give {name_of(serves.by)} a certificate that covers {host} and whose authority its callers know; until then the one before.",
        ),
        explains=tuple(
            Explains(o.about, 0.92, f"it refuses the certificate of {host}", deepest=Depth.process) for o in victims
        ),
    )  # fmt: skip
