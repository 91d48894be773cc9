"""Field selectors: which fields of a kind can be asked for, what an object has in them, and matching. Pure.

The fields are those of the API server (`--field-selector` in kubectl's documentation); any other is refused as it
refuses them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cli.serve_recording.statuses import bad_request
from services.context_api.domain.kinds import BUILT_IN
from services.context_api.domain.kube import at, text
from services.context_api.domain.snapshot import Body

MOST_TERMS = 32

Fields = Mapping[str, str]
_Read = Callable[[Body], str]


def _path(*steps: str) -> _Read:
    return lambda body: text(at(body, *steps))


def _flag(*steps: str) -> _Read:
    """A switch that is false where nothing is said."""
    return lambda body: text(at(body, *steps)) or "false"


def _count(*steps: str) -> _Read:
    return lambda body: text(at(body, *steps)) or "0"


def _source(event: Body) -> str:
    return text(at(event, "source", "component")) or text(event.get("reportingComponent"))


_INVOLVED = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")

_FIELDS: Mapping[tuple[str, str], Mapping[str, _Read]] = {
    ("", "Pod"): {
        "spec.nodeName": _path("spec", "nodeName"),
        "spec.restartPolicy": _path("spec", "restartPolicy"),
        "spec.schedulerName": _path("spec", "schedulerName"),
        "spec.serviceAccountName": _path("spec", "serviceAccountName"),
        "spec.hostNetwork": _flag("spec", "hostNetwork"),
        "status.phase": _path("status", "phase"),
        "status.podIP": _path("status", "podIP"),
        "status.podIPs": _path("status", "podIP"),
        "status.nominatedNodeName": _path("status", "nominatedNodeName"),
    },
    ("", "Event"): {
        **{f"involvedObject.{field}": _path("involvedObject", field) for field in _INVOLVED},
        "reason": _path("reason"),
        "reportingComponent": _path("reportingComponent"),
        "source": _source,
        "type": _path("type"),
    },
    ("events.k8s.io", "Event"): {
        **{f"regarding.{field}": _path("regarding", field) for field in _INVOLVED},
        "reason": _path("reason"),
        "reportingController": _path("reportingController"),
        "type": _path("type"),
    },
    ("", "Node"): {"spec.unschedulable": _flag("spec", "unschedulable")},
    ("", "Namespace"): {"status.phase": _path("status", "phase"), "name": _path("metadata", "name")},
    ("", "Secret"): {"type": _path("type")},
    ("", "Service"): {"spec.clusterIP": _path("spec", "clusterIP"), "spec.type": _path("spec", "type")},
    ("", "ReplicationController"): {"status.replicas": _count("status", "replicas")},
    ("batch", "Job"): {"status.successful": _count("status", "succeeded")},
    ("certificates.k8s.io", "CertificateSigningRequest"): {"spec.signerName": _path("spec", "signerName")},
}


@dataclass(frozen=True, slots=True)
class Allowed:
    """What one may select a kind by, and how the API server refuses anything else."""

    names: frozenset[str]
    refusal: str
    """`{}` is the field."""


_GENERIC = '"{}" is not a known field selector: only "metadata.name", "metadata.namespace"'
_USUAL = "field label not supported: {}"
_OF_JOBS = 'field label "{}" not supported for Job'


def allowed_of(group: str, kind: str, *, namespaced: bool, selectable: Sequence[str] = ()) -> Allowed:
    """The fields of a kind. `selectable`: what a custom kind's definition allows beside the two of all."""
    own = _FIELDS.get((group, kind))
    if own is None and (group, kind) in BUILT_IN:
        return Allowed(frozenset(("metadata.name", "metadata.namespace")), _GENERIC)
    everywhere = ("metadata.name", "metadata.namespace") if namespaced else ("metadata.name",)
    refusal = _OF_JOBS if (group, kind) == ("batch", "Job") else _USUAL
    return Allowed(frozenset((*everywhere, *(own or {}), *selectable)), refusal)


def fields_of(group: str, kind: str, body: Body, *, selectable: Sequence[str] = ()) -> Fields:
    """What an object has in its selectable fields, those of the metadata apart."""
    found = {name: read(body) for name, read in _FIELDS.get((group, kind), {}).items()}
    return found | {name: text(at(body, *name.split("."))) for name in selectable}


def as_core(event: Body) -> Body:
    """An Event of events.k8s.io in core/v1's form, as the API server serves the same one in both groups."""
    renamed = {
        "regarding": "involvedObject",
        "note": "message",
        "deprecatedSource": "source",
        "deprecatedFirstTimestamp": "firstTimestamp",
        "deprecatedLastTimestamp": "lastTimestamp",
        "deprecatedCount": "count",
        "reportingController": "reportingComponent",
    }
    return {**{renamed.get(key, key): value for key, value in event.items()}, "apiVersion": "v1"}


@dataclass(frozen=True, slots=True)
class Term:
    field: str
    value: str
    wanted: bool


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """Every term has to hold; without any, everything matches."""

    terms: Sequence[Term] = ()

    def matches(self, namespace: str | None, name: str, fields: Fields) -> bool:
        return all(
            (_value(term.field, namespace, name, fields) == term.value) is term.wanted for term in self.terms
        )

    @property
    def name(self) -> str | None:
        """The one name that can match, where only one can."""
        return next(
            (term.value for term in self.terms if term.field == "metadata.name" and term.wanted), None
        )


def _value(field: str, namespace: str | None, name: str, fields: Fields) -> str:
    if field == "metadata.name":
        return name
    return (namespace or "") if field == "metadata.namespace" else fields.get(field, "")


_ESCAPE = re.compile(r"\\(.?)", re.DOTALL)


def parse(words: str, allowed: Allowed) -> FieldSelector:
    """Read a selector as the API server does.

    Raises:
        Refused: it cannot be read, or asks for a field that nobody can select by.
    """
    terms = [_term(part, words) for part in _split(words, ",") if part]
    if len(terms) > MOST_TERMS:
        raise bad_request(f"{len(terms)} field selectors (at most {MOST_TERMS})")
    for term in terms:
        if term.field not in allowed.names:
            raise bad_request(allowed.refusal.format(term.field))
    return FieldSelector(tuple(terms))


def _term(part: str, words: str) -> Term:
    for sign in ("!=", "==", "="):
        pieces = list(_split(part, sign, most=1))
        if len(pieces) == 2:
            return Term(pieces[0], _unescaped(pieces[1]), wanted=sign != "!=")
    raise bad_request(f"invalid selector: '{words}'; can't understand '{part}'")


def _split(words: str, sign: str, *, most: int = -1) -> Iterator[str]:
    """At signs that no backslash stands before."""
    begin = at = 0
    while at < len(words) and most != 0:
        if words[at] == "\\":
            at += 2
        elif words.startswith(sign, at):
            yield words[begin:at]
            at += len(sign)
            begin = at
            most -= 1
        else:
            at += 1
    yield words[begin:]


def _unescaped(value: str) -> str:
    def plain(found: re.Match[str]) -> str:
        if found[1] not in ("\\", ",", "="):
            raise bad_request(f"invalid field selector: invalid escape sequence: \\{found[1]}")
        return found[1]

    bare = _ESCAPE.sub("", value)
    if "=" in bare:
        raise bad_request(f"invalid field selector: unescaped character in value: {ord('=')}")
    return _ESCAPE.sub(plain, value)
