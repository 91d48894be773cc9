"""Investigations from before there were events can be followed: running ones to their end, ended ones at once."""

from __future__ import annotations

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from libs.storage import Database, StorageUnavailable, migrate
from services.holmesgpt_api.domain.triage import conclude
from services.holmesgpt_api.wiring import SCHEMA
from tests.fakes.context_api import FakeContextApi
from tests.integration.holmesgpt_api.test_events import followed, names
from tests.support.holmesgpt import ended, place, serving, working
from tests.support.investigations import CHECKOUT, claimed, found
from tests.support.postgres import MakeDatabase
from tests.support.source import ROOT

pytestmark = pytest.mark.requirement("HAPI-045", "HAPI-129")

VERSIONS = ROOT / "services/holmesgpt_api/migrations/versions"
BEFORE = ("0001_first.py", "0002_model.py")

_ROWS = """
    INSERT INTO investigation (id, tenant, asker, reads, digest, request, namespace, priority, seen, deadline_at,
                               status, verdict, error, error_code, ended_at)
    VALUES ('inv-ended', 'default', 'ana', '{*}', '', CAST(:request AS jsonb), 'shop', 'P2', '{shop}', now(),
            'completed', CAST(:verdict AS jsonb), NULL, NULL, now()),
           ('inv-failed', 'default', 'ana', '{*}', '', CAST(:request AS jsonb), 'shop', 'P2', '{shop}', now(),
            'failed', NULL, 'away', 'context-unavailable', now()),
           ('inv-begun', 'default', 'ana', '{*}', '', CAST(:request AS jsonb), 'shop', 'P2', '{shop}',
            now() + interval '1 minute', 'running', NULL, NULL, NULL, NULL)
"""


async def test_what_was_there_before_has_a_course_too(
    fresh_database: MakeDatabase, context: FakeContextApi, tmp_path: Path
):
    (tmp_path / "versions").mkdir()
    for name in BEFORE:
        shutil.copy(VERSIONS / name, tmp_path / "versions" / name)
    here = place(fresh_database(SCHEMA), context.url, tmp_path)
    migrate(here.values["database_url"], SCHEMA, versions=tmp_path / "versions")
    database = Database(here.settings(), application=SCHEMA)
    verdict = conclude(found(), CHECKOUT, claimed(), "no-model-configured")
    async with database.begin() as conn:
        await conn.execute(
            text(_ROWS), {"request": '{"alert_name": "A"}', "verdict": verdict.model_dump_json()}
        )

    async with serving(here.settings(), here.api_key) as api:
        async with database.begin() as conn:
            await conn.execute(
                text(
                    "UPDATE investigation SET status = 'failed', error = 'late', error_code = 'deadline-passed', "
                    "ended_at = now() WHERE id = 'inv-begun'"
                )
            )
        told = {
            id_: await followed(api, id_, **{"Last-Event-ID": "0"})
            for id_ in ("inv-ended", "inv-failed", "inv-begun")
        }
        async with working(here.settings()):
            new = (await api.post("/api/v1/investigate/async", json={"alert_name": "B"})).json()
            await ended(api, new["investigation_id"])
    await database.close()

    assert {id_: names(events) for id_, events in told.items()} == {
        "inv-ended": ["completed"],
        "inv-failed": ["failed"],
        "inv-begun": ["started", "failed"],
    }
    assert told["inv-ended"][0].data["target"]["name"] == "orders-db-config"


_WAITING = f"SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = '{SCHEMA}.budget_day'::regclass"


@pytest.mark.requirement("API-BR-REL-002")
def test_while_tables_are_dumped_an_upgrade_gives_up_soon_and_stops_nobody_who_writes(
    fresh_database: MakeDatabase, tmp_path: Path
):
    (tmp_path / "versions").mkdir()
    for script in VERSIONS.glob("000[1-8]_*.py"):
        shutil.copy(script, tmp_path / "versions" / script.name)
    url = fresh_database(SCHEMA).url(SCHEMA)
    migrate(url, SCHEMA, versions=tmp_path / "versions")

    with (
        ThreadPoolExecutor(1) as pool,  # left last: it waits for an upgrade that waits for the dump
        psycopg.connect(url) as dump,
        psycopg.connect(url, autocommit=True) as looking,
        psycopg.connect(url) as writer,
    ):
        dump.execute(f"LOCK TABLE {SCHEMA}.budget_day IN ACCESS SHARE MODE")
        upgrade = pool.submit(migrate, url, SCHEMA)
        while looking.execute(_WAITING).fetchone() == (0,) and not upgrade.done():
            time.sleep(0.02)
        writer.execute(f"LOCK TABLE {SCHEMA}.investigation IN ROW EXCLUSIVE MODE NOWAIT")
        with pytest.raises(StorageUnavailable, match="timeout"):
            upgrade.result(timeout=20)
    migrate(url, SCHEMA)
