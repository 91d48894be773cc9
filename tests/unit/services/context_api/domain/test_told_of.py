"""Objects that a log names: by namespace and name, or by kind and name."""

from __future__ import annotations

import pytest

from services.context_api.domain.graph import Graph
from services.context_api.domain.logs import Line
from services.context_api.domain.told_of import blames_by_name
from tests.support.kube import deployment, pods_in, snapshot, thing

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-008")

OPERATOR = deployment("operator", "operators")
API = deployment("api")
POD = pods_in(API)[0]["metadata"]["name"]
SEARCH = thing("Elasticsearch", "titles", "shop", api="elasticsearch.k8s.elastic.co/v1")
POOL = thing("MachineConfigPool", "worker", "", api="machineconfiguration.openshift.io/v1")
BUDGETS = [
    thing("PodDisruptionBudget", name, api="policy/v1", spec={"selector": {"matchLabels": {"app": app}}})
    for name, app in (("api", "api"), ("other", "other"))
]


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("ERROR Reconciler error namespace=shop es_name=titles", {"Elasticsearch/shop/titles"}),
        ("ERROR cannot restart titles in namespace of another", set()),
        (f'error when evicting pods/"{POD}" -n "shop" (will retry)', {"Deployment/shop/api"}),
        (
            f'error when evicting pods/"{POD}" -n "shop": it would violate the pod\'s disruption budget.',
            {"Deployment/shop/api", "PodDisruptionBudget/shop/api"},
        ),
        (f"error when evicting {POD}", set()),
        ("Error syncing machineconfigpool worker: cannot render", {"MachineConfigPool/_cluster/worker"}),
        ("Error: a worker died", set()),
        ("ERROR operators/operator lost its lease", set()),
        ("ERROR " + "word " * 5000, set()),
    ],
    ids=["namespace and name", "name alone", "pod", "budget", "pod alone", "kind", "cluster's, alone", "itself", "long"],
)  # fmt: skip
def test_a_line_means_an_object_when_it_says_where_or_what_it_is(line: str, named: set[str]):
    graph = Graph(snapshot(OPERATOR, API, SEARCH, POOL, *BUDGETS))
    operator = graph.get("Deployment", "operators", "operator")
    assert operator is not None

    blames = blames_by_name(graph, operator, [Line(line, 1, 2)])

    assert {str(blame.on) for blame in blames} == named
    assert all(line[:20] in blame.why for blame in blames)
