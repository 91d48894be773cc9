from __future__ import annotations

import json

import pytest

from tools.openapi import render

pytestmark = pytest.mark.requirement("API-BR-API-002", "HAPI-042")


def test_the_same_document_is_always_the_same_text():
    one = {"paths": {"/b": {}, "/a": {}}, "info": {"title": "Größe"}}
    other = {"info": {"title": "Größe"}, "paths": {"/a": {}, "/b": {}}}

    assert render(one) == render(other)
    assert json.loads(render(one)) == one
    assert "Größe" in render(one)
