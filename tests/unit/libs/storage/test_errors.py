from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest
from psycopg import errors as pg
from psycopg_pool import PoolTimeout
from sqlalchemy import exc as sa

from libs.storage.errors import StorageUnavailable, storage_faults, why_unavailable

pytestmark = pytest.mark.requirement("INT-BR-REL-004", "INT-BR-REL-006")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (psycopg.OperationalError("server closed the connection unexpectedly"), "unreachable"),
        (psycopg.InterfaceError("the connection is closed"), "unreachable"),
        (pg.AdminShutdown(), "unreachable"),
        (pg.CannotConnectNow(), "unreachable"),
        (pg.ConnectionFailure(), "unreachable"),
        (pg.TooManyConnections(), "busy"),
        (psycopg.OperationalError('connection failed: FATAL:  too many connections for role "a"'), "busy"),
        (psycopg.OperationalError("connection failed: FATAL:  sorry, too many clients already"), "busy"),
        (PoolTimeout(), "busy"),
        (sa.TimeoutError(), "busy"),
        (pg.QueryCanceled(), "timeout"),
        (pg.LockNotAvailable(), "timeout"),
        (pg.IdleInTransactionSessionTimeout(), "timeout"),
        (pg.DeadlockDetected(), "conflict"),
        (pg.SerializationFailure(), "conflict"),
        (pg.DiskFull(), "full"),
        (pg.ReadOnlySqlTransaction(), "read-only"),
    ],
)
def test_a_fault_of_the_server_is_named(error: Exception, reason: str):
    assert why_unavailable(error) == reason


@pytest.mark.parametrize(
    "error",
    [pg.UniqueViolation(), pg.SyntaxError(), pg.UndefinedTable(), pg.DataError(), ValueError("ours")],
)
def test_a_mistake_of_ours_is_not_called_a_fault_of_the_server(error: Exception):
    assert why_unavailable(error) is None


def test_the_driver_s_fault_is_seen_through_sqlalchemy_s_wrapping():
    wrapped = sa.OperationalError("SELECT 1", {}, pg.AdminShutdown())

    assert why_unavailable(wrapped) == "unreachable"


def test_a_fault_becomes_one_exception_that_says_when_to_ask_again():
    with pytest.raises(StorageUnavailable) as caught, storage_faults():
        raise sa.OperationalError("INSERT secret", {"body": "secret"}, pg.AdminShutdown())

    assert timedelta(seconds=1) <= caught.value.retry_after <= timedelta(seconds=3)
    assert "secret" not in str(caught.value)


def test_a_role_without_a_connection_left_is_told_by_its_cause():
    refused = psycopg.OperationalError(
        'connection to "db.example.com" failed: too many connections for role "a"'
    )

    with pytest.raises(StorageUnavailable, match=r"^database busy: too many connections$"), storage_faults():
        raise sa.OperationalError("SELECT 1", {}, refused)


def test_words_that_somebody_sent_are_not_taken_for_the_server_s():
    alert = "PostgresConnections: too many connections for role orders"

    with (
        pytest.raises(StorageUnavailable, match=r"^database unreachable: OperationalError$") as caught,
        storage_faults(),
    ):
        raise sa.OperationalError("INSERT", {"body": alert}, pg.AdminShutdown())

    assert caught.value.reason == "unreachable"
    assert "too many connections" not in str(caught.value)


def test_a_mistake_of_ours_passes_as_it_is():
    with pytest.raises(pg.UniqueViolation), storage_faults():
        raise pg.UniqueViolation
