"""Who takes a shared server's room."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from services.context_api.domain.takers import clients_of, grown
from tests.support.kube import Doc, container, deployment, env, service, stateful_set
from tests.support.series import recorded, scene

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-009")

STORE = [*stateful_set("store", "data"), service("store", "data", port=6379, ready=1)]
LEVEL = [100.0] * 30
RISE = [100.0] * 12 + [100.0 + 300 * n for n in range(18)]


def use(values: Sequence[float], metric: str = "redis_db_keys", **labels: str):
    return recorded(metric, values, 300, __name__=metric, namespace="data", pod="store-0", **labels)


def known(*objects: Sequence[Doc], metrics):
    found = scene(*STORE, *objects, metrics=metrics)
    (server,) = [w for w in found.graph.workloads if w.name == "store"]
    return found, server


def test_the_part_that_grew_is_told_with_the_moment_it_left_its_level():
    found, server = known(metrics=[use(LEVEL, db="db0"), use(RISE, db="db2")])

    part = grown(found.graph, found.metrics, server)

    assert part is not None
    assert (part.label, part.name, part.before, part.share) == ("db", "db2", 100.0, 1.0)
    assert part.since is not None


@pytest.mark.parametrize(
    "metrics",
    [
        [use(RISE, db="db0"), use(RISE, db="db2")],
        [use(LEVEL, db="db0"), use([100 + n for n in range(30)], db="db2")],
        [use(RISE, db="db2")],
        [use(LEVEL, db="db0", metric="redis_db_keys_expiring"), use(RISE, db="db2", metric="redis_db_keys_expiring")],
        [],
    ],
    ids=["two grew alike", "it breathes", "nothing to compare with", "no use", "not measured"],
)  # fmt: skip
def test_nobody_takes_the_room_where_no_single_part_grew(metrics):
    found, server = known(metrics=metrics)

    assert grown(found.graph, found.metrics, server) is None


@pytest.mark.parametrize(
    ("url", "labels"),
    [
        ("redis://store.data.svc:6379/2", {"db": "db2"}),
        ("postgres://reports@store.data.svc:6379/main", {"usename": "reports"}),
        ("postgres://u@store.data.svc:6379/books?sslmode=disable", {"datname": "books"}),
        ("postgres://u@store.data.svc:6379/main?application_name=tidy", {"application_name": "tidy"}),
    ],
)
def test_a_client_is_who_names_the_server_together_with_the_part(url: str, labels: dict[str, str]):
    (label,) = labels
    mine = deployment("mine", "a", containers=[container(env=env(STORE_URL=url))])
    other = deployment(
        "other", "b", containers=[container(env=env(STORE_URL="redis://store.data.svc:6379/0"))]
    )
    found, server = known(mine, other, metrics=[use(LEVEL, **{label: "zero"}), use(RISE, **labels)])
    part = grown(found.graph, found.metrics, server)

    assert part is not None
    assert [c.name for c in clients_of(found.graph, server, part)] == ["mine"]


def test_a_user_in_a_variable_of_its_own_counts_beside_the_server():
    mine = deployment(
        "mine", "a", containers=[container(env=env(DB_HOST="store.data.svc", DB_USER="figures"))]
    )
    stranger = deployment("other", "b", containers=[container(env=env(DB_USER="figures"))])
    found, server = known(mine, stranger, metrics=[use(LEVEL, user="shop"), use(RISE, user="figures")])
    part = grown(found.graph, found.metrics, server)

    assert part is not None
    assert [c.name for c in clients_of(found.graph, server, part)] == ["mine"]
