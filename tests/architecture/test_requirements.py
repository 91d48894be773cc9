"""Requirement ids: every marker names a real one, every test has one, and the document is fresh."""

from __future__ import annotations

import ast

import pytest

from tests.support.source import ROOT, Module, modules
from tools import requirements
from tools.generated import stale

pytestmark = pytest.mark.requirement("API-BR-DOC-014", "INT-BR-TEST-010")


def ids() -> dict[str, str]:
    return requirements.known_ids(requirements.IDS.read_text("utf-8"))


def test_the_list_of_ids_is_whole():
    counts = {prefix: sum(id_.split("-")[0] == prefix for id_ in ids()) for prefix in requirements.PREFIXES}

    assert counts == {"API": 170, "INT": 250, "INF": 185, "HAPI": 296, "KIDP": 20}


def test_the_ids_that_stand_twice_are_told_apart_by_their_section():
    twice = [f"INT-BR-AP-0{number}@{section}" for section in ("3.1.4", "3.2") for number in range(21, 26)]

    assert [id_ for id_ in ids() if "@" in id_] == twice


def test_every_marker_names_a_requirement_that_exists():
    assert requirements.unknown(requirements.all_claims(), ids()) == []


def test_every_test_says_which_requirement_it_proves():
    claims = requirements.all_claims()
    whole_files = {claim.test for claim in claims if "::" not in claim.test}
    single = {claim.test for claim in claims}

    mute = [
        f"{module.path}::{name}"
        for module in modules("tests")
        if module.path.rpartition("/")[2].startswith("test_") and module.path not in whole_files
        for name in named_tests(module)
        if f"{module.path}::{name}" not in single
        and f"{module.path}::{name.partition('::')[0]}" not in single
    ]

    assert not mute


def test_the_document_is_fresh():
    text = requirements.render(requirements.all_claims(), ids())

    assert stale({requirements.DOCUMENT: text}) == [], "run: make requirements"


def named_tests(module: Module) -> list[str]:
    found = []
    for node in module.tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            found.append(node.name)
        elif isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            found += [
                f"{node.name}::{inner.name}"
                for inner in node.body
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)
                and inner.name.startswith("test_")
            ]
    return found


def test_tests_are_found_in_functions_and_classes():
    module = Module(
        "tests/t.py", "def test_a(): ...\nclass TestB:\n    async def test_c(self): ...\ndef help(): ...\n"
    )

    assert named_tests(module) == ["test_a", "TestB::test_c"]
    assert (ROOT / "tests" / "architecture" / "test_requirements.py").is_file()
