"""The directions of imports stand in pyproject.toml; these tests hold that they cover every service and run."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from tests.support.source import ROOT

pytestmark = pytest.mark.requirement("API-BR-DOC-014", "API-BR-DOC-011")


def contracts(kind: str) -> list[dict[str, Any]]:
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    return [one for one in configuration["tool"]["importlinter"]["contracts"] if one["type"] == kind]


def service_packages() -> set[str]:
    return {f"services.{path.parent.name}" for path in (ROOT / "services").glob("*/__init__.py")}


def test_no_service_may_import_another():
    assert set(contracts("independence")[0]["modules"]) == service_packages()


def test_every_service_keeps_the_order_of_its_rooms():
    layered = {name for one in contracts("layers") for name in one.get("containers", [])}

    assert layered == service_packages()


def test_every_library_has_its_place_in_the_order():
    order = " | ".join(next(one for one in contracts("layers") if "libs.web" in one["layers"])["layers"])
    folders = {f"libs.{path.parent.name}" for path in (ROOT / "libs").glob("*/__init__.py")}

    assert folders == set(order.split(" | "))


def test_the_directions_are_checked_by_make_check():
    recipe = (ROOT / "Makefile").read_text("utf-8").partition("\ncheck:")[2].partition("\n\n")[0]

    assert "lint-imports" in recipe
