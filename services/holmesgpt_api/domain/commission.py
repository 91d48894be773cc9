"""Commission: one investigation as it was asked for, and whether it may be.

Decides the namespace an alert speaks of, the priority's level, and when two requests are the same one.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from libs.auth.principal import EVERY_NAMESPACE, Principal
from libs.contracts.alerts import Priority
from libs.contracts.investigations import InvestigationRequest
from services.holmesgpt_api.domain.errors import NotReadable

CLUSTER = ""
"""Stands for cluster scope where namespaces are listed."""

_LEVELS = {"critical": Priority.p0, "high": Priority.p1, "medium": Priority.p2, "low": Priority.p3}

# How a caller wants to be answered, and what it calls the request, does not change what is asked.
_NOT_ASKED = frozenset({"request_id", "async_processing"})
# These change what is told beside a result, not what is concluded.
_ONLY_TOLD = frozenset({"include_context", "include_metrics"})


@dataclass(frozen=True, slots=True)
class Commission:
    """What is to be investigated, for whom."""

    tenant: str
    asker: str
    reads: tuple[str, ...]
    """Namespaces (globs) the asker may read; the investigation sees no more than they do."""
    request: InvestigationRequest
    priority: Priority
    namespace: str | None
    digest: bytes
    idempotency_key: str | None
    shared_key: bytes | None = None
    """Equal for requests that may share one run while it goes on; None: it shares none."""


def commission(
    request: InvestigationRequest,
    caller: Principal,
    key: str | None,
    *,
    shares: bool = False,
    place: str = "",
) -> Commission:
    """What the caller asks, ready to be recorded.

    Args:
        shares: whether it may share the run of the same question; one with a key of its own never does, since the key
            says that it is another one.
        place: of which cluster it is asked (`clusters.Route.place`); "" where no clusters are configured.

    Raises:
        NotReadable: the alert speaks of a namespace the caller may not read.
    """
    namespace = claimed_namespace(request)
    if request.target is not None and not caller.may_read(request.target.namespace):
        raise NotReadable(request.target.namespace)
    if namespace is not None and not caller.may_read(namespace):
        raise NotReadable(namespace)
    return Commission(
        tenant=caller.tenant,
        asker=caller.name,
        reads=caller.namespaces,
        request=request,
        priority=priority_of(request.priority),
        namespace=namespace,
        digest=digest(request),
        idempotency_key=key,
        shared_key=None if key is not None or not shares else shared_key(request, caller, namespace, place),
    )


def shared_key(
    request: InvestigationRequest, caller: Principal, namespace: str | None, place: str = ""
) -> bytes:
    """The question, the cluster, and who may see the answer: a tenant and the namespaces that may be read.

    An investigation that names no namespace may end having seen none; such a one is for its asker and for who may read
    everything, so that others do not share it.
    """
    everything = EVERY_NAMESPACE in caller.namespaces
    reads = [EVERY_NAMESPACE] if everything else sorted(set(caller.namespaces))
    asker = None if everything or namespace is not None else caller.name
    # Where there is one cluster nothing is added, so that processes of before there were several share the runs of others.
    told = json.dumps([caller.tenant, reads, asker, digest(request).hex(), *([place] if place else [])])
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).digest()


def claimed_namespace(request: InvestigationRequest) -> str | None:
    """The namespace the request itself names; the target's word counts before the labels'."""
    if request.target is not None:
        return request.target.namespace
    labels = request.labels
    return request.namespace or labels.get("exported_namespace") or labels.get("namespace") or None


def labels_to_resolve(request: InvestigationRequest) -> dict[str, str]:
    """The alert's labels, with the request's own namespace where they name none."""
    labels = {"alertname": request.alert_name, **request.labels}
    if request.namespace and not labels.get("namespace"):
        labels["namespace"] = request.namespace
    return labels


def priority_of(word: str) -> Priority:
    """`critical` to `low`, or P0 to P3, as the request's pattern allows."""
    return _LEVELS.get(word) or Priority(word)


def most_open(limit: int, priority: Priority) -> int:
    """Investigations of one caller under way, of whatever priority, beyond which it has no other one of this priority.

    The most urgent ones may go to twice the limit, so that a storm of others does not keep them out.
    """
    return 2 * limit if priority == Priority.p0 else limit


def digest(request: InvestigationRequest) -> bytes:
    """Equal for requests that ask the same, whatever the order of their keys."""
    return _without(_NOT_ASKED, request)


def question(request: InvestigationRequest) -> bytes:
    """Equal for requests to which the same conclusion is the answer, in whatever detail they want to be told it."""
    return _without(_NOT_ASKED | _ONLY_TOLD, request)


def _without(left_out: frozenset[str], request: InvestigationRequest) -> bytes:
    asked = request.model_dump(mode="json", exclude=set(left_out))
    return hashlib.sha256(json.dumps(asked, sort_keys=True, separators=(",", ":")).encode()).digest()
