"""Certificates that are not issued or renewed in time, and programs that still serve the one before.

Sees cert-manager's Certificates past their renewal time, issuers that do not exist, and the words of the last failed
step. For clients whose logs complain of an expired certificate, it looks whether the server's Secret holds a newer one
than its pods could have read at their start. Not ready Certificates and Issuers say so in their conditions
(`unhealthy_condition`); dates of certificates in Secrets are read by `certificate_expired`.
Cannot see what a running program holds in memory, nor the authority's side.

Rests on: cert-manager.io/docs, "Certificate resource" (renewalTime), "Troubleshooting" and "ACME Orders and
Challenges"; kubernetes.io/docs, "Secrets" (when updates reach pods).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.analyzers.unhealthy_condition import head_of
from services.context_api.domain.focus import concerned
from services.context_api.domain.kube import conditions, listing, mapping, number, text
from services.context_api.domain.logs import cut, is_narrative, quote
from services.context_api.domain.observation import Blame, Depth, Explains, Observation
from services.context_api.domain.redact import redact
from services.context_api.domain.references import Reference
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject, parse_time
from services.context_api.domain.uses import used_by
from services.context_api.domain.wording import clock, name_of, span

NAME = "certificate_issue"
GROUP = "cert-manager.io"
OVERDUE = timedelta(minutes=30)
"""A renewal may take this long: orders wait for challenges, and DNS for its caches. A guess."""

_EXPIRED = re.compile(r"expired|not yet valid|certificate_expired|notAfter", re.IGNORECASE)
_STEPS = ("CertificateRequest", "Order", "Challenge")


def observe(scene: Scene) -> Iterator[Observation]:
    """At most one observation per Certificate, and one per issuer that lacks its credentials."""
    for certificate in scene.snapshot.of_kind("Certificate"):
        if certificate.group == GROUP and not certificate.metadata.get("deletionTimestamp"):
            yield from _certificate(scene, certificate)
    for kind in ("Issuer", "ClusterIssuer"):
        for issuer in scene.snapshot.of_kind(kind):
            if issuer.group == GROUP:
                yield from _issuer(scene, issuer)


def _issuer(scene: Scene, issuer: KubeObject) -> Iterator[Observation]:
    """An issuer whose credentials are not there; it may say Ready all the same, as it looks at them only when it issues."""
    for name, kind, space, called in scene.platforms.unmet(issuer):
        if kind != "Secret" or not any(True for _ in scene.snapshot.of_kind("Secret", space)):
            continue
        field = name.path.replace("[]", "").replace(".*", "")
        words = f"{name_of(issuer)} takes credentials from Secret {space}/{called} ({field}), which does not exist"
        users = [
            c
            for c in scene.snapshot.of_kind("Certificate")
            if any(link.to is issuer for link in scene.platforms.needs(c))
        ]
        late = [
            c
            for c in users
            if _late(scene, c) or any(x.type == "Ready" and x.status == "False" for x in conditions(c))
        ]
        words += f"; {listing([name_of(c) for c in late], 3)} cannot be issued" if late else ""
        step = next((said for c in late if (said := _last_words(scene, c))), "")
        words += f"; {step}" if step else ""
        yield replace(
            _observation(issuer, "IssuerSecretNotFound", words, 0.9, None),
            basis=("the Secrets its spec names beside those there are",),
            explains=tuple(Explains(c, 0.93, f"{name_of(issuer)} cannot issue it") for c in late),
            latent=not late,
        )


def _late(scene: Scene, certificate: KubeObject) -> bool:
    due = parse_time(certificate.status.get("renewalTime"))
    return due is not None and scene.now - due >= OVERDUE


def _certificate(scene: Scene, certificate: KubeObject) -> Iterator[Observation]:
    issuers = [o.name for kind in ("Issuer", "ClusterIssuer") for o in scene.snapshot.of_kind(kind)]
    for _, kind, _, name in scene.platforms.unmet(certificate):
        said = " ".join(c.message for c in conditions(certificate))
        if not issuers and "not found" not in said:
            continue
        known = f"; there are {listing(sorted(issuers), 5)}" if issuers else ""
        words = f"{name_of(certificate)} wants to be issued by {kind} `{name}`, which does not exist{known}"
        yield _observation(certificate, "IssuerNotFound", words, 0.9, None)
        return
    due = parse_time(certificate.status.get("renewalTime"))
    ends = parse_time(certificate.status.get("notAfter"))
    if due is None or scene.now - due < OVERDUE:
        return
    words = f"{name_of(certificate)} should have been renewed at {clock(due)}, {span((scene.now - due).total_seconds())} ago, and was not"
    if ends is not None:
        words += f"; its certificate {'expired' if ends <= scene.now else 'expires'} at {clock(ends)}"
    attempts = number(certificate.status.get("failedIssuanceAttempts"))
    words += f"; {attempts} attempt{'s' if attempts != 1 else ''} failed" if attempts else ""
    step = _last_words(scene, certificate)
    words += f"; {step}" if step else ""
    yield _observation(
        certificate,
        "CertificateNotRenewed",
        words,
        0.88,
        due,
        tuple(
            Blame(link.to, 0.9, f"{name_of(certificate)} is issued by it")
            for link in scene.platforms.needs(certificate)
        ),
    )


def _last_words(scene: Scene, certificate: KubeObject) -> str:
    """What the last step that failed says: the challenge before the order before the request."""
    for kind in reversed(_STEPS):
        steps = [
            o for o in scene.snapshot.of_kind(kind, certificate.namespace) if head_of(scene, o) is certificate
        ]
        for step in sorted(steps, key=lambda o: (o.created_at or scene.now, o.name), reverse=True)[:1]:
            said = text(step.status.get("reason")) or next(
                (c.message for c in conditions(step) if c.type == "Ready" and c.status == "False"), ""
            )
            if said and not is_narrative(said):
                return f"{name_of(step)} says `{cut(redact(said), 260)}`"
    return ""


def _observation(
    certificate: KubeObject,
    reason: str,
    words: str,
    certainty: float,
    onset: datetime | None,
    blames: tuple[Blame, ...] = (),
) -> Observation:
    shown = {
        k: certificate.status[k]
        for k in ("renewalTime", "notAfter", "failedIssuanceAttempts")
        if k in certificate.status
    }
    return Observation(
        about=certificate,
        reason=reason,
        text=words,
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=certainty,
        facts=(
            evidence.field(
                certificate,
                "status",
                {**shown, "issuerRef": dict(mapping(certificate.spec.get("issuerRef")))},
                cut(words, 400),
            ),
        ),
        basis=("the Certificate's own dates against the time of the recording",)
        if onset
        else ("its issuerRef beside the issuers there are",),
        onset=onset,
        remediation=remedies.look(
            certificate, f"Follow {name_of(certificate)} through its requests, orders and challenges to what refuses."
        ),
        blames=blames,
    )  # fmt: skip


# -- an old certificate in a running program ---------------------------------------------------------


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """One observation per server that clients see an expired certificate of while its Secret holds a newer one."""
    told: set[int] = set()
    for client in concerned(scene, seen):
        for said in scene.deps.spoken(client):
            if said.trouble != "tls" or said.found is None or not _EXPIRED.search(said.line):
                continue
            for server in scene.deps.behind(said.found):
                old = _older_than_secret(scene, server)
                if old is not None and id(server) not in told:
                    told.add(id(server))
                    yield _still_serving(scene, server, client, said.line, *old)


def _older_than_secret(
    scene: Scene, server: KubeObject
) -> tuple[KubeObject, Reference, datetime, datetime] | None:
    """(Secret, use, valid from, pod started) of a certificate that came after the server's pods."""
    starts = [m for p in scene.graph.pods_of(server) if (m := parse_time(p.status.get("startTime")))]
    if not starts:
        return None
    for workload in scene.graph.workloads_of(server):
        for use, secret in used_by(scene.graph, workload, "Secret"):
            for summary in mapping(secret.body.get("dataSummary")).values():
                begins, ends = (parse_time(mapping(summary).get(f)) for f in ("not_before", "not_after"))
                if begins and ends and max(starts) < begins <= scene.now < ends:
                    return secret, use, begins, max(starts)
    return None


def _still_serving(
    scene: Scene,
    server: KubeObject,
    client: KubeObject,
    line: str,
    secret: KubeObject,
    use: Reference,
    begins: datetime,
    started: datetime,
) -> Observation:
    words = (
        f"{name_of(server)} still serves the certificate it read at its start: its pods run since {clock(started)}, "
        f"while {name_of(secret)} ({use.where}) holds one that is valid from {clock(begins)}; {name_of(client)} says `{quote(line)}`"
    )
    return Observation(
        about=server,
        reason="OldCertificateInUse",
        text=words,
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.84,
        facts=(evidence.field(secret, "data", {"not_before": clock(begins)}, f"{name_of(secret)}: valid from {clock(begins)}"),),
        basis=("a client says that the certificate it is shown has expired", "the Secret's certificate is valid and newer than the server's pods"),
        remediation=remedies.edit(server, f"Restart {name_of(server)}, and let it read its certificate again when the Secret changes.", restart=scene.graph.workloads_of(server)[0]),
        explains=(Explains(client, 0.92, f"{name_of(server)} shows it an expired certificate", deepest=Depth.process),),
    )  # fmt: skip
