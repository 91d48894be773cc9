"""docs/triage.md gives the weights the code uses, and nothing it does not."""

from __future__ import annotations

import ast
import inspect
import re
import sys

import pytest

from services.context_api.domain.analyzers import EXPLAINERS, SYMPTOMS
from services.context_api.domain.edges import TABLE
from services.context_api.domain.ranking import WEIGHTS
from tests.support.source import ROOT

pytestmark = pytest.mark.requirement("API-BR-DOC-005", "API-BR-DOC-012")

TEXT = (ROOT / "docs" / "triage.md").read_text(encoding="utf-8")


def rows(heading: str) -> dict[str, float]:
    """First and second column of the table that begins with this heading."""
    table = TEXT.split(heading, 1)[1].split("\n\n", 1)[0]
    return {
        name: float(value) for name, value in re.findall(r"^\| (\w+) \| (-?[\d.]+) \|", table, re.MULTILINE)
    }


def test_the_weights_of_the_score_are_those_of_the_code():
    assert rows("| fact | weight | why |") == WEIGHTS


def test_the_strengths_of_relations_are_those_of_the_code():
    assert rows("| relation | strength | why |") == TABLE


def test_every_analyzer_says_what_it_sees_what_it_cannot_and_what_it_rests_on():
    for analyzer in (*SYMPTOMS, *EXPLAINERS):
        text = sys.modules[analyzer.__module__].__doc__ or ""
        assert "Rests on:" in text, analyzer.__module__
        assert re.search(r"\bSees\b|\bSee\b", text), analyzer.__module__
        assert re.search(r"[Cc]annot", text), analyzer.__module__


K8SGPT = frozenset(
    [
        "Pod",
        "Deployment",
        "ReplicaSet",
        "StatefulSet",
        "DaemonSet",
        "Job",
        "CronJob",
        "PVC",
        "Service",
        "Ingress",
        "Node",
        "ValidatingWebhook",
        "MutatingWebhook",
        "ConfigMap",
        "HPA",
        "PDB",
        "NetworkPolicy",
        "Log",
        "GatewayClass",
        "Gateway",
        "HTTPRoute",
        "Storage",
        "Security",
        "ClusterCatalog",
        "ClusterExtension",
        "CSV",
        "Subscription",
        "InstallPlan",
        "CatalogSource",
        "OperatorGroup",
    ]
)
"""The analyzers of k8sgpt's `pkg/analyzer`; what it has for its integrations stands in the table too."""

ANALYZERS = {a.__module__.rpartition(".")[2]: sys.modules[a.__module__] for a in (*SYMPTOMS, *EXPLAINERS)}


def checks() -> list[tuple[str, str, list[str]]]:
    """(check, analyzer, reasons) of the table."""
    table = TEXT.split("| k8sgpt's check, or gap | analyzer | reasons |", 1)[1].split("\n\n", 1)[0]
    rows = re.findall(r"^\| ([^|]+?) \| `(\w+)` \| ([^|]+?) \|$", table, re.MULTILINE)
    assert len(rows) == len(table.strip().splitlines()) - 1
    return [(check, analyzer, re.findall(r"`(\w+)`", reasons)) for check, analyzer, reasons in rows]


def reasons_of(name: str) -> list[re.Pattern[str]]:
    """What an analyzer's source can give as a reason: its CamelCase words, and those it puts together from them."""
    nodes = list(ast.walk(ast.parse(inspect.getsource(ANALYZERS[name]))))
    texts = [n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    words = {word for text in texts for word in re.findall(r"^[A-Z][A-Za-z]+$", text)}
    made = []
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            fixed = "".join(p.value for p in node.values if isinstance(p, ast.Constant))
            # A text of which nothing is fixed could be any reason; a condition's type and status is one of two.
            last = "(?:True|False)" if not fixed and len(node.values) == 2 else "[A-Z]\\w+"
            kinds = [re.escape(p.value) if isinstance(p, ast.Constant) else "[A-Z]\\w+" for p in node.values]
            if not fixed:
                kinds = [f"(?:{'|'.join(sorted(words)) or '-'})", last] if len(node.values) == 2 else []
            if kinds and re.fullmatch(r"[A-Za-z]*", fixed):
                made.append(re.compile("".join(kinds)))
    return [*(re.compile(word) for word in sorted(words)), *made]


def test_every_check_names_an_analyzer_and_reasons_that_it_gives():
    for check, name, reasons in checks():
        assert name in ANALYZERS, check
        assert reasons, check
        given = reasons_of(name)
        assert [r for r in reasons if not any(g.fullmatch(r) for g in given)] == [], f"{check}: {name}"


def test_no_check_of_k8sgpt_is_missing():
    named = set(re.findall(r"\w+", " ".join(check for check, _, _ in checks())))
    left_out = TEXT.split("Not reported, because nothing fails by it:", 1)[1].split("\n\n", 1)[0]

    assert K8SGPT - named - set(re.findall(r"\w+", left_out)) == set()


def test_a_reason_nobody_gives_would_be_noticed():
    given = reasons_of("storage")

    assert any(g.fullmatch("VolumeFailed") for g in given)
    assert not any(g.fullmatch("VolumeMelted") for g in given)
