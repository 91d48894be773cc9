"""The interactive documentation, with its scripts served from here: no page of ours asks a foreign host."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from starlette.responses import HTMLResponse

from libs.web.routes import ASSETS

FOLDER = Path(str(files("fastapi_offline") / "static"))
"""Swagger UI and Redoc as fastapi-offline packs them."""

OPENAPI = "/openapi.json"
_INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def routes(title: str) -> APIRouter:
    """`/docs` and `/redoc`."""
    swagger = get_swagger_ui_html(
        openapi_url=OPENAPI,
        title=title,
        swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{ASSETS}/favicon.png",
    )
    redoc = get_redoc_html(
        openapi_url=OPENAPI,
        title=title,
        redoc_js_url=f"{ASSETS}/redoc.standalone.js",
        redoc_favicon_url=f"{ASSETS}/favicon.png",
        with_google_fonts=False,
    )
    router = APIRouter(include_in_schema=False)
    for path, page in (("/docs", swagger), ("/redoc", redoc)):
        page.headers["Content-Security-Policy"] = policy(bytes(page.body).decode())
        router.add_api_route(path, _serve(page), methods=["GET"])
    return router


def policy(page: str) -> str:
    """A Content-Security-Policy under which this page works: its own inline scripts by their hash, no others.

    Both tools write styles into the page while they draw it, so styles cannot be named one by one.
    """
    scripts = " ".join(f"'sha256-{_sha256(script)}'" for script in _INLINE_SCRIPT.findall(page))
    return (
        f"default-src 'none'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; worker-src blob:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _serve(page: HTMLResponse):  # type: ignore[no-untyped-def]  # a type here would become a schema
    async def answer() -> HTMLResponse:
        return page

    return answer
