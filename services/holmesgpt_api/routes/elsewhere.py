"""`/auth/…`: signing in, users and roles, which older callers ask this service for and the platform service answers.

Who signs in has no credential yet, so none is asked for; and the body, a password as a rule, is not read here.
"""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from pydantic import HttpUrl

from libs.web import Problems, ProblemSpec
from services.holmesgpt_api.domain.elsewhere import elsewhere
from services.holmesgpt_api.domain.errors import PlatformsOwn

TEMPLATES = ("/auth", "/auth/{rest:path}")
METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")

PROBLEMS: Problems = {PlatformsOwn: ProblemSpec(404, "platform-service", "Another service answers this")}


def routes(platform: HttpUrl | None) -> APIRouter:
    """They are in no OpenAPI document: what is asked and answered there is the platform service's to say."""
    router = APIRouter()

    async def sent_on(request: Request) -> Response:
        scope = request.scope
        place = elsewhere(str(platform) if platform else None, scope["raw_path"], scope["query_string"])
        # Not 301 or 302, which turn a POST into a GET.
        return Response(status_code=308, headers={"Location": place})

    for template in TEMPLATES:
        router.add_api_route(template, sent_on, methods=list(METHODS), include_in_schema=False)
    return router
