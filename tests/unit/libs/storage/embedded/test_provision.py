from __future__ import annotations

import pytest

from libs.storage.embedded.provision import CONNECTIONS_PER_SERVICE, MORE, USABLE, connections_of, provision

pytestmark = pytest.mark.requirement("API-BR-PERF-034")


def test_seven_services_fit_into_the_connections_of_a_default_server():
    assert (7 - len(MORE)) * CONNECTIONS_PER_SERVICE + sum(MORE.values()) <= USABLE


def test_a_service_with_two_queues_has_connections_for_both():
    assert connections_of("alerts") == CONNECTIONS_PER_SERVICE
    assert connections_of("holmesgpt_api") >= 4 + 4 + 2 * (2 + 1)


@pytest.mark.parametrize("name", ["", "Alerts", "a b", 'a"; DROP ROLE postgres; --', "1a", "a" * 64])
def test_a_name_that_is_no_plain_identifier_is_refused_before_anything_connects(name: str):
    with pytest.raises(ValueError, match="not a name"):
        provision("postgresql://nowhere.invalid/x", [name], database="kubernaut")
