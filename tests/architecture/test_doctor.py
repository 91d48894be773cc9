"""The doctor is asked when nothing is installed yet: the standard library alone, in words an old Python knows."""

from __future__ import annotations

import ast
import sys

import pytest

from tests.support.source import Module, imported, modules

pytestmark = pytest.mark.requirement("INF-BR-HEALTH-006")

OLDEST = (3, 9)
OURS = ("cli.doctor", "libs.ports")
DOCTOR = [
    module
    for module in modules()
    if module.path.startswith("cli/doctor/")
    or module.path in ("cli/__init__.py", "libs/__init__.py", "libs/ports.py")
]


def foreign(module: Module) -> list[str]:
    return [
        name
        for name, _ in imported(module.tree)
        if name.partition(".")[0] not in sys.stdlib_module_names and not name.startswith(OURS)
    ]


def newer_words(module: Module) -> list[str]:
    """What compiles in an old Python and fails when it runs."""
    return [
        ast.unparse(node)
        for node in ast.walk(module.tree)
        if (isinstance(node, ast.keyword) and node.arg in ("slots", "kw_only"))
        or (
            isinstance(node, ast.ImportFrom)
            and any(name.name in ("StrEnum", "UTC", "Self") for name in node.names)
        )
    ]


def test_a_foreign_import_and_a_newer_word_would_be_found():
    assert foreign(Module("cli/doctor/x.py", "import rich.text"))
    assert newer_words(Module("cli/doctor/x.py", "@dataclass(slots=True)\nclass X: ..."))
    assert newer_words(Module("cli/doctor/x.py", "from enum import StrEnum"))


@pytest.mark.parametrize("module", DOCTOR, ids=lambda module: module.path)
def test_it_stands_on_the_standard_library_alone(module: Module):
    assert foreign(module) == []


@pytest.mark.parametrize("module", DOCTOR, ids=lambda module: module.path)
def test_an_old_python_can_read_it(module: Module):
    ast.parse(module.text, module.path, feature_version=OLDEST)
    assert newer_words(module) == []
