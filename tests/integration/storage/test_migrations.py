from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from libs.storage import MigrationFailed, StorageUnavailable, migrate
from libs.storage.migrations import newest
from libs.storage.upgrade import lock_key, scripts_in
from tests.support.children import REPOSITORY, start
from tests.support.postgres import FreshDatabase, MakeDatabase

pytestmark = pytest.mark.requirement("INF-BR-TYPE-005", "API-BR-REL-002")

SCRIPT = """
from alembic import op
revision = {revision!r}
down_revision = {down!r}
def upgrade():
    op.execute({sql!r})
"""


SERVICES_WITH_MIGRATIONS = sorted(
    folder.parent.name for folder in (REPOSITORY / "services").glob("*/migrations")
)


@pytest.fixture
def versions(tmp_path: Path) -> Path:
    folder = tmp_path / "migrations" / "versions"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def database(fresh_database: MakeDatabase) -> FreshDatabase:
    return fresh_database("alerts", "notifications")


def write(versions: Path, revision: str, down: str | None, sql: str) -> None:
    (versions / f"{revision}.py").write_text(SCRIPT.format(revision=revision, down=down, sql=sql))


def tables(database: FreshDatabase, schema: str) -> set[str]:
    with psycopg.connect(database.server.url("postgres", database.name)) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (schema,))
        return {row[0] for row in rows}


def test_everything_lands_in_the_service_s_own_schema(database: FreshDatabase, versions: Path):
    write(versions, "0001", None, "CREATE TABLE inbox (id int)")

    migrate(database.url("alerts"), "alerts", versions=versions)

    assert tables(database, "alerts") == {"inbox", "alembic_version"}
    assert tables(database, "public") == set()


def test_a_second_run_does_nothing_and_a_new_script_is_applied(database: FreshDatabase, versions: Path):
    write(versions, "0001", None, "CREATE TABLE inbox (id int)")
    migrate(database.url("alerts"), "alerts", versions=versions)
    migrate(database.url("alerts"), "alerts", versions=versions)
    write(versions, "0002", "0001", "CREATE TABLE episode (id int)")

    migrate(database.url("alerts"), "alerts", versions=versions)

    assert tables(database, "alerts") >= {"inbox", "episode"}


def test_a_start_that_finds_nothing_to_do_waits_for_nobody_and_loads_nothing_that_migrates(
    database: FreshDatabase, versions: Path
):
    write(versions, "0001", None, "CREATE TABLE inbox (id int)")
    migrate(database.url("alerts"), "alerts", versions=versions)
    script = (
        "import sys; from pathlib import Path; from libs.storage import migrate;"
        f" migrate({database.url('alerts')!r}, 'alerts', versions=Path({str(versions)!r}));"
        " print('alembic' in sys.modules)"
    )

    with psycopg.connect(database.url("alerts")) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", (lock_key("alerts"),))
        said = subprocess.run(
            [sys.executable, "-c", script],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=50,
            check=True,
        )

    assert said.stdout.split() == ["False"]


def test_a_schema_whose_state_the_role_may_not_read_is_a_failure_that_says_so(
    database: FreshDatabase, versions: Path
):
    write(versions, "0001", None, "CREATE TABLE inbox (id int)")
    with psycopg.connect(database.server.url("postgres", database.name)) as other:
        other.execute("CREATE TABLE alerts.alembic_version (version_num text)")

    with pytest.raises(MigrationFailed, match="permission denied"):
        migrate(database.url("alerts"), "alerts", versions=versions)


@pytest.mark.parametrize("service", SERVICES_WITH_MIGRATIONS)
def test_a_script_s_file_is_named_by_its_revision_and_the_scripts_stand_in_a_line(service: str):
    folder = REPOSITORY / "services" / service / "migrations" / "versions"
    found = scripts_in(folder)

    assert found.get_heads() == [newest(folder)]
    for script in found.walk_revisions():
        assert Path(script.path).name.startswith(f"{script.revision}_")


def test_two_services_in_one_database_do_not_meet(database: FreshDatabase, versions: Path):
    write(versions, "0001", None, "CREATE TABLE same_name (id int)")

    migrate(database.url("alerts"), "alerts", versions=versions)
    migrate(database.url("notifications"), "notifications", versions=versions)

    assert "same_name" in tables(database, "alerts")
    assert "same_name" in tables(database, "notifications")


def test_four_starting_at_once_apply_each_script_once(database: FreshDatabase, versions: Path):
    write(versions, "0001", None, "CREATE TABLE inbox (id int)")
    write(versions, "0002", "0001", "SELECT pg_sleep(0.2)")
    write(versions, "0003", "0002", "INSERT INTO inbox VALUES (1)")
    url = database.url("alerts")

    processes = [start("tests.support.migrator", url, "alerts", str(versions)) for _ in range(4)]

    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0, 0]
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM inbox").fetchone() == (1,)


def test_a_failing_script_leaves_nothing_of_the_whole_attempt(database: FreshDatabase, versions: Path):
    write(versions, "0001", None, "CREATE TABLE inbox (id int)")
    write(versions, "0002", "0001", "SELECT * FROM no_such_table")

    with pytest.raises(MigrationFailed, match="no_such_table"):
        migrate(database.url("alerts"), "alerts", versions=versions)

    assert tables(database, "alerts") == set()


def test_a_schema_newer_than_the_code_is_refused(database: FreshDatabase, versions: Path):
    write(versions, "0001", None, "CREATE TABLE inbox (id int)")
    write(versions, "0002", "0001", "CREATE TABLE episode (id int)")
    migrate(database.url("alerts"), "alerts", versions=versions)
    (versions / "0002.py").unlink()

    with pytest.raises(MigrationFailed, match="0002"):
        migrate(database.url("alerts"), "alerts", versions=versions)


def test_a_missing_folder_of_scripts_is_named(database: FreshDatabase, versions: Path):
    with pytest.raises(MigrationFailed, match="no migrations at"):
        migrate(database.url("alerts"), "alerts", versions=versions / "absent")


def test_a_schema_that_does_not_exist_is_made_where_the_role_may(
    fresh_database: MakeDatabase, versions: Path
):
    database = fresh_database()
    write(versions, "0001", None, "CREATE TABLE inbox (id int)")

    migrate(database.url("postgres"), "alerts", versions=versions)

    assert "inbox" in tables(database, "alerts")


def test_a_database_that_does_not_answer_is_unavailable_and_the_url_is_not_told(versions: Path):
    write(versions, "0001", None, "SELECT 1")

    with pytest.raises(StorageUnavailable) as caught:
        migrate("postgresql://u:secret@127.0.0.1:1/x", "alerts", versions=versions)

    assert caught.value.reason == "unreachable"
    assert "secret" not in str(caught.value)
