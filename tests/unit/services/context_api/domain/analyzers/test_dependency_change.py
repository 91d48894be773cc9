"""A dependency that runs and was changed just before its client complained."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import dependency_change
from tests.support.kube import (
    container,
    crashing,
    deployment,
    edit,
    env,
    log,
    pods_in,
    service,
    stateful_set,
    thing,
)
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-004", "API-BR-CAPI-007")


def client(line: str):
    objects = deployment(
        "api", containers=[container(env=env(DB="db.shop-data:5432"))], statuses=[crashing()]
    )
    return objects, [log(pods_in(objects)[0], line)]


def database(minutes: float = 25):
    uses = container(
        "db",
        env=[
            {
                "name": "POSTGRES_PASSWORD",
                "valueFrom": {"secretKeyRef": {"name": "db-creds", "key": "password"}},
            }
        ],
    )
    secret = thing(
        "Secret", "db-creds", "shop-data", edits=[edit(minutes, "data/password", by="vault-agent")]
    )
    return [stateful_set("db", containers=[uses]), service("db", "shop-data", port=5432, ready=1), secret]


AUTH = 'connect to db.shop-data:5432: FATAL: password authentication failed for user "api"'


def test_a_password_rotated_on_the_servers_side_is_the_lead_for_a_client_that_is_refused():
    api, logs = client(AUTH)

    answer = causes(api, database(), target="Deployment/shop/api", logs=logs)

    assert first(answer) == ("Secret/shop-data/db-creds", "DependencyChangedBeforeOnset")
    assert "vault-agent" in answer.ranked[0].text


def test_an_edit_of_the_service_itself_is_a_lead():
    api, logs = client("dial db.shop-data:5432: connection refused")
    objects = [
        stateful_set("db"),
        service("db", "shop-data", port=5432, ready=1, edits=[edit(25, "spec/ports")]),
    ]

    assert said(seen(dependency_change, api, objects, logs=logs)) == [
        ("Service/shop-data/db", "DependencyChangedBeforeOnset")
    ]


@pytest.mark.parametrize(
    ("line", "minutes"),
    [(AUTH, 300), ("FATAL: out of cheese", 25)],
    ids=["changed long ago", "the client complains about something else"],
)
def test_other_times_and_other_complaints_lead_nowhere(line: str, minutes: float):
    api, logs = client(line)

    assert seen(dependency_change, api, database(minutes), logs=logs) == []
