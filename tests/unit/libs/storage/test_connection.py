from __future__ import annotations

from datetime import timedelta

import pytest
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from libs.storage.connection import conninfo, libpq_uri
from libs.storage.settings import StorageSettings

pytestmark = pytest.mark.requirement("API-BR-PERF-034")


def settings(url: str, **others: object) -> StorageSettings:
    return StorageSettings.model_construct(database_url=SecretStr(url), **others)  # type: ignore[arg-type]


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_spelling_of_the_scheme_reaches_libpq(scheme: str):
    assert libpq_uri(f"{scheme}://u:p@h/d?sslmode=require") == "postgresql://u:p@h/d?sslmode=require"


def test_a_key_value_string_is_left_alone():
    assert libpq_uri("host=/run/x dbname=d") == "host=/run/x dbname=d"


def test_every_wait_of_a_connection_is_bounded():
    given = conninfo_to_dict(
        conninfo(
            settings("postgresql://u@h/d", database_statement_timeout=timedelta(seconds=4)),
            schema="alerts",
            application="alerts",
        )
    )

    assert given["connect_timeout"] == "3"
    assert given["tcp_user_timeout"] == "4000"
    assert "statement_timeout=4000" in str(given["options"])
    assert "lock_timeout=2000" in str(given["options"])
    assert "idle_in_transaction_session_timeout=30000" in str(given["options"])


def test_the_service_s_schema_comes_first_whatever_the_role_s_own_search_path_is():
    given = conninfo_to_dict(conninfo(settings("postgresql://u@h/d"), schema="alerts", application="alerts"))

    assert "search_path=alerts" in str(given["options"])
    assert given["application_name"] == "kubernaut-alerts"


def test_a_socket_folder_with_special_characters_survives():
    url = "postgresql://u@/d?host=%2Ftmp%2Fa%20b%25c"

    given = conninfo_to_dict(conninfo(settings(url), schema="alerts", application="alerts"))

    assert given["host"] == "/tmp/a b%c"


def test_a_schema_name_cannot_carry_further_options():
    with pytest.raises(ValueError, match="schema"):
        conninfo(settings("postgresql://u@h/d"), schema="a -c x=y", application="alerts")
