"""Trusted roots that are older than the root which signs what a caller is shown.

Sees callers whose log says that a Service's certificate is signed by nobody they know, the certificates that they mount
(a ConfigMap or Secret with PEM text), when those were written last, and since when the authority behind the Service's
certificate is valid: its issuer's Secret, where a platform's objects name it. Roots that were written before an
authority began cannot hold it: a root was renewed with a new key, and who copied the old one was not told.
Where nobody recorded the authority, the certificate's own first day is less sure a sign.
Cannot see the certificates themselves (a recording keeps their dates), nor roots that an image brings.

Rests on: https://cert-manager.io/docs/configuration/ca/, https://cert-manager.io/docs/trust/trust-manager/,
RFC 5280 (path validation); https://pkg.go.dev/crypto/x509#UnknownAuthorityError and what other TLS libraries print for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.changes import first_seen_change
from services.context_api.domain.dependencies import Spoken
from services.context_api.domain.focus import outspoken
from services.context_api.domain.kube import at, flat, mapping, text
from services.context_api.domain.logs import cut
from services.context_api.domain.observation import AGAINST, Depth, Explains, Observation
from services.context_api.domain.references import Reference
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject, parse_time
from services.context_api.domain.uses import used_by, uses
from services.context_api.domain.wording import clock, name_of

NAME = "untrusted_root"
KNOWN, SUPPOSED = 0.9, 0.6
"""The authority's own first day is recorded; only that of the certificate it signed."""

REFUSED = 0.85
"""How surely it is why the server's log speaks of failed handshakes."""

SLACK = timedelta(minutes=2)
_OF_TLS = re.compile(
    r"x509|certificate|tls|ssl|handshake|pkix|self.?signed|authority|issuer|trust|unable_to|unknown.?ca",
    re.IGNORECASE,
)
"""Without one of these words no line of a log speaks of TLS."""

_NOBODY_KNOWN = re.compile(
    r"unknown (?:certificate )?(?:authority|issuer|ca\b)|unable to get (?:local )?issuer|self[- ]signed certificate in|"
    r"PKIX path building failed|unable to find valid certification path|certificate verify failed|unable to verify the first|"
    r"UNABLE_TO_(?:VERIFY|GET)|UnknownIssuer|not trusted|untrusted",
    re.IGNORECASE,
)
_PEM = "-----BEGIN CERTIFICATE-----"


@dataclass(frozen=True, slots=True)
class _Signed:
    """What a Service shows its callers, and who signed it."""

    secret: KubeObject
    since: datetime
    root: KubeObject | None
    root_since: datetime | None


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """One observation per set of roots that its users' complaints are about."""
    told: set[int] = set()
    for top in _callers(scene, seen):
        for said in scene.deps.spoken(top):
            if said.found is None or not _NOBODY_KNOWN.search(said.line):
                continue
            for signed in _shown(scene, said.found):
                for roots, use in _trusted(scene, top):
                    written = first_seen_change(roots)
                    newer = signed.root_since or signed.since
                    if written is not None and written + SLACK < newer and id(roots) not in told:
                        told.add(id(roots))
                        yield _observation(scene, top, said, signed, roots, use, written)


def _callers(scene: Scene, seen: Sequence[Observation]) -> list[KubeObject]:
    """Whom the alert leads to; and where that is a server whose log tells of failed handshakes, whoever calls it."""
    tops = {id(t): t for t in outspoken(scene, seen) if scene.deps.mentions(t, _OF_TLS)}
    refused = {id(t) for t in tops.values() if any(said.trouble == "tls" for said in scene.deps.spoken(t))}
    for top in map(scene.graph.top, scene.graph.workloads) if refused else ():
        if any(
            said.found is not None and any(id(b) in refused for b in scene.deps.behind(said.found))
            for said in scene.deps.spoken(top)
        ):
            tops.setdefault(id(top), top)
    return list(tops.values())


def _shown(scene: Scene, found: KubeObject) -> Iterator[_Signed]:
    """The certificates that the workloads behind a Service mount, newest first, with their authority."""
    shown = []
    for behind in scene.deps.behind(found):
        for workload in scene.graph.workloads_of(behind):
            for _, secret in used_by(scene.graph, workload, "Secret"):
                since = _valid_from(secret, "tls.crt")
                if since is not None:
                    root = _authority(scene, secret)
                    shown.append(_Signed(secret, since, root, _valid_from(root, "tls.crt")))
    yield from sorted(shown, key=lambda s: (s.since, s.secret.name), reverse=True)


def _valid_from(secret: KubeObject | None, key: str) -> datetime | None:
    summary = mapping(secret.body.get("dataSummary")) if secret is not None else {}
    return parse_time(mapping(summary.get(key)).get("not_before"))


def _authority(scene: Scene, secret: KubeObject) -> KubeObject | None:
    """The Secret with which the issuer of what wrote this Secret signs."""
    for maker in scene.platforms.makers(secret):
        for link in scene.platforms.needs(maker):
            name = text(at(link.to.spec, "ca", "secretName"))
            if not name:
                continue
            held = [
                s
                for s in scene.graph.of_kind("Secret")
                if s.name == name and link.to.namespace in (None, s.namespace)
            ]
            root = next((s for s in held if _valid_from(s, "tls.crt") is not None), None)
            if root is not None:
                return root
    return None


def _trusted(scene: Scene, top: KubeObject) -> Iterator[tuple[KubeObject, Reference]]:
    """Objects with certificates that a workload reads and no key goes with: what it trusts, not what it shows."""
    for workload in scene.graph.workloads_of(top):
        for use, found in used_by(scene.graph, workload, "ConfigMap", "Secret"):
            if any(_PEM in value for value in flat(found.body.get("data")).values()):
                yield found, use
            elif found.kind == "Secret":
                summary = mapping(found.body.get("dataSummary"))
                dated = [key for key in summary if "not_before" in mapping(summary[key])]
                if dated and "tls.key" not in summary:
                    yield found, use


def _observation(
    scene: Scene,
    top: KubeObject,
    said: Spoken,
    signed: _Signed,
    roots: KubeObject,
    use: Reference,
    written: datetime,
) -> Observation:
    known = signed.root is not None and signed.root_since is not None
    makers = list(scene.platforms.makers(signed.root)) if signed.root is not None else []
    if known and signed.root is not None:
        words = (
            f"{name_of(roots)}, the roots that {name_of(top)} trusts ({use.where}), was last written at {clock(written)} and so does not contain "
            f"the authority of {name_of(signed.root)}, which is valid from {clock(signed.root_since)} only"
        )
        words += f" ({name_of(makers[0])} renewed it)" if makers else ""
        words += f" and signs {name_of(signed.secret)}, served by {said.found.name if said.found else 'it'} since {clock(signed.since)}"
    else:
        words = (
            f"{name_of(roots)}, the roots that {name_of(top)} trusts ({use.where}), was last written at {clock(written)}, before the certificate of "
            f"{name_of(signed.secret)} was issued at {clock(signed.since)}; its log says that the certificate is signed by an unknown authority"
        )
    others = [
        one for one in scene.graph.workloads_in(roots.namespace)
        if scene.graph.top(one) is not top and uses(one, roots.kind, roots.name)
    ]  # fmt: skip
    return Observation(
        about=roots,
        reason="RootNotTrusted",
        text=f"{words}: `{cut(said.line, 300)}`",
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=KNOWN if known else SUPPOSED,
        facts=(
            evidence.field(roots, "data", {"written": clock(written)}, f"{name_of(roots)} was last written at {clock(written)}"),
            evidence.field(signed.secret, "data.tls.crt", {"not_before": clock(signed.since)}, f"{name_of(signed.secret)}: issued {clock(signed.since)}"),
            *(
                (evidence.field(signed.root, "data.tls.crt", {"not_before": clock(signed.root_since)}, f"{name_of(signed.root)}: issued {clock(signed.root_since)}"),)
                if known and signed.root is not None else ()
            ),
            evidence.log_line(said.pod, said.container, said.line, said.count),
        ),
        basis=(
            "when the trusted roots were written, beside since when the authority is valid",
            "the caller's log says that it knows nobody who signed",
            *(() if known else (f"{AGAINST}who signed the certificate was not recorded",)),
            *((f"{len(others)} more workloads trust the same roots",) if others else ()),
        ),
        onset=signed.since,
        remediation=remedies.edit(
            roots,
            f"Add the new root to {name_of(roots)}, beside the old one while certificates of both are served.",
            restart=scene.graph.workloads_of(top)[0],
        ),
        explains=(
            Explains(top, 0.95, "it does not know who signed the certificate", deepest=Depth.process),
            *(
                Explains(one, REFUSED, "its callers end the handshake, as they do not know who signed", deepest=Depth.process)
                for one in (scene.deps.behind(said.found) if said.found is not None else ())
            ),
        ),
    )  # fmt: skip
