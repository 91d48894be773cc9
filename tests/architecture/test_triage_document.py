"""docs/triage.md gives the weights the code uses, and nothing it does not."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Collection

import pytest

from services.context_api.domain.analyzers import EXPLAINERS, SYMPTOMS
from services.context_api.domain.edges import TABLE
from services.context_api.domain.ranking import WEIGHTS
from tests.incidents.test_weights import BLAMED, DEPTHS, FACTS, NOES, PAIRS
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


def named(heading: str) -> list[str]:
    """First column of the table that begins with this heading."""
    table = TEXT.split(heading, 1)[1].split("\n\n", 1)[0]
    return re.findall(r"^\| `?([\w-]+)`? \|", table, re.MULTILINE)


@pytest.mark.parametrize(
    ("heading", "reached"),
    [
        ("| relation | strength | why |", PAIRS),
        ("| fact | weight | why |", FACTS),
        ("| depth | meaning | examples |", DEPTHS),
        ("| answer | when |", NOES),
    ],
    ids=["relations", "facts", "depths", "noes"],
)
def test_every_line_of_a_table_is_reached_by_a_test(heading: str, reached: Collection[str]):
    assert sorted(named(heading)) == sorted(reached)


def test_every_strength_of_blame_is_reached_by_a_test():
    sentence = TEXT.split("Blame has a strength of its own:", 1)[1].split("\n", 1)[0]

    assert sorted(map(float, re.findall(r"0\.\d+", sentence))) == sorted(strength for _, strength in BLAMED)


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
            parts = [p.value if isinstance(p, ast.Constant) else None for p in node.values]
            fixed = "".join(p for p in parts if isinstance(p, str))
            if fixed and re.fullmatch(r"[A-Za-z]+", fixed):
                made.append("".join(p if isinstance(p, str) else r"[A-Z]\w+" for p in parts))
            elif not fixed and len(parts) == 2:
                # Nothing in it is fixed: a condition's type, which the analyzer lists, and its status.
                made.append(f"(?:{'|'.join(sorted(words))})(?:True|False)")
    return [re.compile(one) for one in (*sorted(words), *made)]


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
