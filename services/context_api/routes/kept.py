"""Which answers are kept, and of which source each is. The rest is made anew: it is cheap, a stream, no `GET`, or a route
that has a successor (and tells that anew with every answer)."""

from __future__ import annotations

from collections.abc import Mapping

from libs.auth.permissions import Permission
from libs.contracts.bundle import ContextSource
from libs.web.pages import KeptRoute
from services.context_api.steps.freshness import EVIDENCE

_CONTEXT = "/api/v1/context"

BY_TEMPLATE: Mapping[str, str] = {
    f"{_CONTEXT}/causes/{{namespace}}/{{kind}}/{{name}}": EVIDENCE,
    f"{_CONTEXT}/findings/{{namespace}}/{{kind}}/{{name}}": EVIDENCE,
    f"{_CONTEXT}/evidence/{{evidence_id}}": EVIDENCE,
    f"{_CONTEXT}/evidence/{{namespace}}/{{kind}}/{{name}}": EVIDENCE,
    f"{_CONTEXT}/topology/{{namespace}}/{{kind}}/{{name}}": EVIDENCE,
    f"{_CONTEXT}/kubernetes/{{namespace}}/{{resource}}": ContextSource.kubernetes,
    f"{_CONTEXT}/metrics/{{namespace}}/{{resource}}": ContextSource.metrics,
    f"{_CONTEXT}/logs/{{namespace}}/{{pod}}": ContextSource.logs,
    f"{_CONTEXT}/action-history/{{alert_type}}": ContextSource.action_history,
    f"{_CONTEXT}/patterns/{{signature}}": ContextSource.patterns,
}

KEPT = tuple(
    KeptRoute(template, str(source), Permission.view_context) for template, source in BY_TEMPLATE.items()
)
