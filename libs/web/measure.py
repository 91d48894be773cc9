"""What is left of every request: a line in the access log and a count under its route's template."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starlette.types import Scope

from libs.auth.errors import Refusal
from libs.auth.guards import SCOPE_KEY
from libs.logs import access_log
from libs.logs.access import Write
from libs.logs.context import RequestContext
from libs.metrics import Metrics
from libs.web.answer import Answer
from libs.web.routes import Place

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
STATUS_CLASSES = ("2xx", "3xx", "4xx", "5xx")
MAX_BOUND = 2_048
"""Pre-bound series remembered; methods are the caller's words, so without an end."""

_Add = Callable[[float], None]


class Measure:
    """Written for the hot path: the metrics are bound once for each method, route and class of status."""

    def __init__(self, metrics: Metrics, templates: Sequence[str]) -> None:
        self._service = metrics.service
        self._count = metrics.counter(
            "http_requests_total",
            "Requests answered, by route.",
            {"method": METHODS, "route": templates, "status_class": STATUS_CLASSES},
        )
        self._duration = metrics.histogram(
            "http_request_duration_seconds",
            "From the first byte of a request to the last of its answer.",
            {"route": templates},
        )
        self._refusals = metrics.counter(
            "http_authentication_failures_total",
            "Requests whose caller was not recognised.",
            {"reason": tuple(reason.value for reason in Refusal)},
        )
        self._bound: dict[tuple[str, str, int], tuple[_Add, _Add]] = {}
        self._write: Write | None = None

    def refused(self, reason: str) -> None:
        """A caller was not recognised."""
        self._refusals.inc(reason=reason)

    def ended(
        self, scope: Scope, place: Place, answer: Answer, seconds: float, context: RequestContext
    ) -> None:
        """A request was answered, or its client has gone."""
        method, template, status = scope["method"], place.template, answer.status
        count, duration = self._bound.get((method, template, status // 100)) or self._bind(
            method, template, status
        )
        count(1)
        duration(seconds)
        if self._write is None:  # not before logging is configured
            self._write = access_log(self._service)
        principal, client = scope.get(SCOPE_KEY), scope.get("client")
        self._write(
            place.probe,
            {
                "method": method,
                "path": scope["path"],
                "route": template,
                "status": status,
                "ms": round(seconds * 1000, 2),
                "bytes": answer.size,
                "client": client[0] if client else None,
                "caller": principal.name if principal else None,
                "tenant": principal.tenant if principal else None,
                **({"run": principal.run} if principal and principal.run else {}),
                "request_id": context.request_id,
                "trace_id": context.trace_id,
            },
        )

    def _bind(self, method: str, template: str, status: int) -> tuple[_Add, _Add]:
        hundreds = status // 100
        pair = (
            self._count.bind(method=method, route=template, status_class=f"{hundreds}xx"),
            self._duration.bind(route=template),
        )
        if len(self._bound) < MAX_BOUND:
            self._bound[(method, template, hundreds)] = pair
        return pair
