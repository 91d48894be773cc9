"""Every wire model crosses a process boundary: a service or a client uses it, or a model that one uses holds it."""

from __future__ import annotations

import ast
import sys

import pytest

from tests.support.source import imported, modules

pytestmark = pytest.mark.requirement("API-BR-DOC-008", "API-BR-DOC-011")


def models() -> dict[str, set[str]]:
    """Every class and annotated type of libs.contracts, with the names that its definition mentions."""
    found: dict[str, set[str]] = {}
    for module in modules("libs/contracts"):
        for node in module.tree.body:
            names = {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
            if isinstance(node, ast.ClassDef):
                found[node.name] = names
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                found[node.targets[0].id] = names - {node.targets[0].id}
    return found


def used_outside() -> set[str]:
    return {
        name.rpartition(".")[2]
        for module in modules()
        if not module.path.startswith("libs/contracts/")
        for name, _ in imported(module.tree)
        if name.startswith("libs.contracts.")
    }


def test_no_model_is_left_that_nobody_speaks():
    known = models()
    reached: set[str] = set()
    waiting = used_outside() & set(known)
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting |= (known[name] & set(known)) - reached

    assert sorted(name for name in set(known) - reached if not name.startswith("_")) == []


def test_contracts_stand_on_pydantic_and_the_standard_library_alone():
    foreign = {
        name
        for module in modules("libs/contracts")
        for name, _ in imported(module.tree)
        if name.split(".")[0] not in {"__future__", "pydantic", "libs", *sys.stdlib_module_names}
        or (name.startswith("libs.") and not name.startswith("libs.contracts"))
    }

    assert foreign == set()
