"""Which answers are kept, and of which source each is. The rest is made anew: it is cheap, a stream, or no `GET`.

An alert's context is made anew because how much is left out of it follows what callers say, between two snapshots too;
the bundle in it is kept below.
"""

from __future__ import annotations

from collections.abc import Mapping

from libs.auth.permissions import Permission
from libs.contracts.bundle import ContextSource
from libs.web.pages import KeptRoute
from services.context_api.routes.succession import succession
from services.context_api.steps.freshness import EVIDENCE

_CONTEXT = "/api/v1/context"

BY_TEMPLATE: Mapping[str, str] = {
    f"{_CONTEXT}/causes/{{namespace}}/{{kind}}/{{name}}": EVIDENCE,
    f"{_CONTEXT}/findings/{{namespace}}/{{kind}}/{{name}}": EVIDENCE,
    f"{_CONTEXT}/evidence/{{evidence_id}}": EVIDENCE,
    f"{_CONTEXT}/evidence/{{namespace}}/{{kind}}/{{name}}": EVIDENCE,
    f"{_CONTEXT}/topology/{{namespace}}/{{kind}}/{{name}}": EVIDENCE,
    f"{_CONTEXT}/investigation/{{investigation_type}}": EVIDENCE,
    "/api/v1/namespace/{namespace}/context": EVIDENCE,
    f"{_CONTEXT}/kubernetes/{{namespace}}/{{resource}}": ContextSource.kubernetes,
    "/api/v1/namespace/{namespace}/resources": ContextSource.kubernetes,
    f"{_CONTEXT}/metrics/{{namespace}}/{{resource}}": ContextSource.metrics,
    f"{_CONTEXT}/logs/{{namespace}}/{{pod}}": ContextSource.logs,
    f"{_CONTEXT}/action-history/{{alert_type}}": ContextSource.action_history,
    f"{_CONTEXT}/action-history": ContextSource.action_history,
    "/api/v1/alerts/history": ContextSource.action_history,
    f"{_CONTEXT}/patterns/{{signature}}": ContextSource.patterns,
}

KEPT = tuple(
    KeptRoute(template, str(source), Permission.view_context, succession(template))
    for template, source in BY_TEMPLATE.items()
)
