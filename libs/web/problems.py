"""Turns errors into problem details (RFC 9457) that name the field and the remedy, and never leak text."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from libs.contracts.problem import FieldError, Problem
from libs.web.info import Problems, ProblemSpec

MEDIA_TYPE = "application/problem+json"
MAX_ERRORS = 20
"""Fields named in one answer; a body with a thousand faults is not worth a megabyte."""


def render(
    status: int,
    code: str,
    *,
    title: str = "",
    detail: str = "",
    instance: str | None = None,
    request_id: str | None = None,
    errors: Iterable[FieldError] = (),
) -> bytes:
    """The document, ready to send."""
    problem = Problem(
        type="about:blank",
        title=title or HTTPStatus(status).phrase,
        status=status,
        code=code,
        detail=detail,
        instance=instance,
        request_id=request_id,
        errors=list(errors),
    )
    return orjson.dumps(_sendable(problem.document()))


def response(
    request: Request, status: int, code: str, *, headers: Mapping[str, str] | None = None, **said: Any
) -> Response:
    body = render(
        status, code, instance=request.url.path, request_id=request.scope.get("kubernaut.request_id"), **said
    )
    return Response(body, status_code=status, media_type=MEDIA_TYPE, headers=dict(headers or {}))


_log = logging.getLogger(__name__)


def install(app: FastAPI, problems: Problems) -> None:
    """Register the handlers: the service's own errors, validation, and what Starlette raises."""
    for error_type, spec in problems.items():
        app.add_exception_handler(error_type, _domain_handler(spec))
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)


def _domain_handler(spec: ProblemSpec) -> Any:
    async def handle(request: Request, error: Exception) -> Response:
        headers = dict(spec.headers(error)) if spec.headers else {}
        pause = spec.retry_after(error) if spec.retry_after else None
        if pause is not None:
            headers["Retry-After"] = str(max(1, math.ceil(pause.total_seconds())))
        detail = spec.detail(error) if spec.detail else str(error)
        if spec.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            # The caller is told what to do; whoever is on call needs to know why.
            _log.warning("%s: %s", spec.code, error)
        return response(request, spec.status, spec.code, title=spec.title, detail=detail, headers=headers)

    return handle


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type alone
    status = error.status_code
    code = HTTPStatus(status).phrase.lower().replace(" ", "-")
    detail = (
        error.detail if isinstance(error.detail, str) and error.detail != HTTPStatus(status).phrase else ""
    )
    if status == 404 and not detail:
        detail = f"there is nothing at {request.url.path}; see /docs"
    elif status == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        detail = f"{request.method} is not answered here; use {allowed}"
    return response(request, status, code, detail=detail, headers=error.headers)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this type alone
    faults = error.errors()
    errors = [FieldError(field=path(fault["loc"]), reason=explain(fault)) for fault in faults[:MAX_ERRORS]]
    named = ", ".join(dict.fromkeys(one.field for one in errors))
    return response(
        request, 422, "invalid-input", title="Invalid input", detail=f"see errors: {named}", errors=errors
    )


def path(location: Iterable[object]) -> str:
    """`("body", "alerts", 0, "labels")` → `body.alerts.0.labels`, printable and bounded."""
    text = ".".join(str(part) for part in location)
    return "".join(c if c.isprintable() else "�" for c in text[:300])


def explain(fault: Mapping[str, Any]) -> str:
    """What is wrong and what would be right; the value itself is not repeated, it may be a secret."""
    message = str(fault.get("msg", "invalid"))
    if fault.get("type") == "missing":
        return "required, and missing"
    if fault.get("type") == "extra_forbidden":
        return "not a known field; remove it or mend its name"
    return message[:500]


def _sendable(document: Any) -> Any:
    """Lone surrogates cannot be encoded; an error answer must not fail on the input it complains about."""
    if isinstance(document, str):
        return document.encode("utf-8", "replace").decode()
    if isinstance(document, dict):
        return {key: _sendable(value) for key, value in document.items()}
    if isinstance(document, list):
        return [_sendable(item) for item in document]
    return document
