"""Which object a question names. Pure; whether it exists the Context API says.

`Deployment/shop/checkout`, `Deployment.apps/shop/checkout`, "the pod checkout-1 in namespace shop", "node worker-2".
A name alone is no object: without its kind it could be many.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pydantic import TypeAdapter, ValidationError

from libs.contracts.target import Namespace, Target

_PATH = re.compile(
    r"(?<![\w/])([A-Za-z][A-Za-z0-9]*(?:\.[a-z0-9.-]+)?)/(_cluster|-|[a-z0-9][a-z0-9-]*)/([A-Za-z0-9][\w.:-]*)(?![\w/])"
)
_IN = re.compile(
    r"\bnamespace[ :=]+[\"'`]?([a-z0-9][a-z0-9-]*)|\b(?:in|of|from) (?:the )?[\"'`]?([a-z0-9][a-z0-9-]*)[\"'`]? namespace\b"
)
_NAMESPACE: TypeAdapter[str] = TypeAdapter(Namespace)

# The labels by which the Context API knows objects, and how people call them.
_LABELS: dict[str, str] = {
    "horizontalpodautoscaler": r"hpa|horizontal ?pod ?autoscaler|autoscaler",
    "poddisruptionbudget": r"pdb|pod ?disruption ?budget",
    "persistentvolumeclaim": r"pvc|persistent ?volume ?claim",
    "deployment": r"deployment|deploy",
    "statefulset": r"stateful ?set|sts",
    "daemonset": r"daemon ?set|ds",
    "replicaset": r"replica ?set|rs",
    "node": r"node",
    "service": r"service|svc",
    "job_name": r"job",
    "cronjob": r"cron ?job",
    "pod": r"pod",
}
_NAMED = {
    label: re.compile(rf"\b(?:{words})[ :/=]+(?:named |called )?[\"'`]?([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)")
    for label, words in _LABELS.items()
}
_NO_NAME = frozenset(
    re.findall(
        r"[a-z']+",
        """a again all an and are at be been being broken by can cannot can't could crash crashed crashes crashing depend
    depends did die dies does doing down ends evicted exit exited exits fail failed failing fails fine for from get gets
    getting had has have healthy if in is it its itself keep keeps killed lost name named namespace not now of ok on or
    out pending pods ready recovered restart restarted restarting restarts run running scaled seem seems should slow so
    start started starting stop stopped stuck that the this to too unhealthy up was were what when where which who why
    will with wrong account accounts mesh level spec set sets claim budget""",
    )
)


@dataclass(frozen=True, slots=True)
class Subject:
    """What a question is about: an object in full, or labels to resolve; or only a namespace to look in."""

    target: Target | None = None
    labels: dict[str, str] = field(default_factory=dict)
    namespace: str | None = None

    @property
    def names_an_object(self) -> bool:
        return self.target is not None or bool(self.labels)


def subject(text: str, namespace: str | None) -> Subject:
    """What the text names.

    Args:
        namespace: where it is, unless the text says otherwise.
    """
    target = _in_full(text)
    if target is not None:
        return Subject(target=target, namespace=target.namespace)
    said = " ".join(text.lower().split())
    where = _where(said) or namespace
    for label, pattern in _NAMED.items():
        for found in pattern.finditer(said):
            name = found[1]
            if name in _NO_NAME or name == where:
                continue
            if label == "node":
                return Subject(labels={"node": name})
            if where is None:
                return Subject()
            return Subject(labels={label: name, "namespace": where}, namespace=where)
    return Subject(namespace=where)


def _in_full(text: str) -> Target | None:
    for found in _PATH.finditer(text):
        kind, _, group = found[1].partition(".")
        try:
            target = Target.parse(f"{kind}/{found[2]}/{found[3].rstrip('.:-')}")
            return target if not group else _of_group(target, group)
        except ValueError:  # pydantic's is one too
            continue
    return None


def _of_group(target: Target, group: str) -> Target:
    return Target(**{**target.model_dump(), "api_version": f"{group}/v1"})


def _where(said: str) -> str | None:
    for found in _IN.finditer(said):
        name = found[1] or found[2]
        try:
            _NAMESPACE.validate_python(name)
        except ValidationError:
            continue
        if name not in _NO_NAME:
            return name
    return None
