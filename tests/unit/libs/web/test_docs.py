"""The documentation works offline, under a policy that allows no foreign script."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest

from libs.web.docs import policy
from tests.support.web_client import calling

pytestmark = pytest.mark.requirement("HAPI-025", "API-BR-DOC-001", "HAPI-098", "HAPI-101")


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
async def test_a_page_asks_no_foreign_host_and_finds_everything_it_names_here(path):
    async with calling() as service:
        page = await service.http.get(path)
        named = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        found = [(await service.http.get(name)).status_code for name in named]

    assert named
    assert all(name.startswith("/docs/assets/") for name in named)
    assert set(found) == {200}
    assert "https://" not in page.text


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
async def test_a_page_has_one_policy_that_names_its_inline_scripts_by_hash(path):
    async with calling() as service:
        page = await service.http.get(path)

    (given,) = page.headers.get_list("content-security-policy")
    scripts = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
    directive = next(part for part in given.split(";") if part.strip().startswith("script-src"))
    assert "unsafe" not in directive
    for script in scripts:
        assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in directive


def test_a_page_without_inline_scripts_allows_none():
    assert "sha256" not in policy("<html><script src='/a.js'></script></html>")


async def test_both_addresses_of_the_document_give_the_same_one_with_the_fast_routes_in_it():
    async with calling() as service:
        one, other = [
            (await service.http.get(path)).json() for path in ("/openapi.json", "/api/v1/openapi.json")
        ]

    assert one == other
    hook = one["paths"]["/api/v1/hook"]["post"]
    assert hook["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/Note"
    }
    assert "202" in hook["responses"]
    assert hook["security"]
