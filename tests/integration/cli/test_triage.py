"""`./kubernaut triage`, as people and scripts call it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.recordings import BROKEN, write_cluster
from tests.support.source import ROOT

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "HAPI-178", "HAPI-127")

INCIDENT = ROOT / "examples" / "incidents" / "orders-database-config"
UNDONE = ROOT / "tests" / "fixtures" / "recordings" / "orders-database-config-undone"
HEAVY = ("fastapi", "starlette", "sqlalchemy", "psycopg", "httpx", "uvicorn", "redis", "procrastinate", "alembic",
         "prometheus_client", "jose", "cryptography", "yaml", "rich.markdown")  # fmt: skip


def kubernaut(*arguments: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ROOT / "kubernaut"), *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=60
    )


def triage(*arguments: str | Path) -> tuple[int, dict[str, Any]]:
    done = kubernaut("triage", *arguments, "--json")
    return done.returncode, json.loads(done.stdout)


def test_the_bundled_incident_is_explained_by_its_causal_object():
    code, answer = triage(INCIDENT, "--alert", INCIDENT / "alert.json")

    assert code == 0
    first = answer["ranked"][0]
    assert (first["kind"], first["namespace"], first["name"]) == ("ConfigMap", "data", "orders-db-config")
    assert {"kind", "namespace", "name", "reason", "text", "confidence", "evidence", "remediation"} <= set(
        first
    )
    assert isinstance(first["confidence"], float)
    assert all({"id", "summary", "content_hash"} <= set(item) for item in first["evidence"])
    assert len(first["evidence"]) >= 2
    assert first["remediation"]["command"]
    assert answer["no_cause"] is False
    assert answer["target"].startswith("Pod/shop/checkout-")


def test_without_an_alert_the_whole_cluster_is_asked():
    code, answer = triage(INCIDENT)

    assert code == 0
    assert answer["ranked"][0]["name"] == "orders-db-config"
    assert answer["target"] is None


@pytest.mark.parametrize("target", ["Deployment/shop/checkout", "deployment/shop/checkout"])
def test_a_target_may_be_named_by_hand(target: str):
    code, answer = triage(INCIDENT, "--target", target)

    assert (code, answer["ranked"][0]["name"]) == (0, "orders-db-config")


def test_with_the_fault_undone_there_is_no_cause():
    code, answer = triage(UNDONE, "--alert", UNDONE / "alert.json")

    assert (code, answer["ranked"], answer["no_cause"]) == (3, [], True)


def test_the_same_recording_gives_the_same_answer():
    assert kubernaut("triage", INCIDENT, "--json").stdout == kubernaut("triage", INCIDENT, "--json").stdout


def test_a_pipe_gets_plain_text():
    done = kubernaut("triage", INCIDENT, "--alert", INCIDENT / "alert.json")

    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert done.stdout.index("CAUSE  ConfigMap/data/orders-db-config") < done.stdout.index("Less likely")


def test_one_target_among_a_thousand_objects_is_found(tmp_path: Path):
    assert write_cluster(tmp_path, namespaces=41) >= 1000

    code, answer = triage(tmp_path)

    assert code == 0
    first = answer["ranked"][0]
    assert (first["kind"], first["namespace"], first["name"]) == ("Deployment", *BROKEN)


def test_nothing_heavy_is_imported_on_the_way():
    """What makes the two seconds: FastAPI alone takes 0.5 s to import, SQLAlchemy 0.4."""
    code = (
        "import sys; from cli.app import app\n"
        "try: app(['triage', sys.argv[1], '--json'], standalone_mode=False)\n"
        "except SystemExit: pass\n"
        f"print(sorted(m for m in {HEAVY!r} if m in sys.modules), file=sys.stderr)"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, str(INCIDENT)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )

    assert done.stderr.strip() == "[]"


# --- input that cannot be used ----------------------------------------------------------------------------------


def refused(directory: Path, *more: str | Path) -> str:
    done = kubernaut("triage", directory, *more, "--json")
    answer = json.loads(done.stdout)
    assert done.returncode == 2
    assert (answer["ranked"], answer["no_cause"]) == ([], True)
    assert answer["error"] == answer["not_looked_at"][0]
    assert done.stderr.startswith("kubernaut triage: ")
    assert "Traceback" not in done.stderr
    return str(answer["error"])


def test_an_empty_directory_is_unreadable(tmp_path: Path):
    assert "no Kubernetes object" in refused(tmp_path)


def test_a_missing_directory_is_unreadable(tmp_path: Path):
    assert "no such file" in refused(tmp_path / "nowhere")


def test_a_directory_of_broken_yaml_is_unreadable(tmp_path: Path):
    for number in range(5):
        (tmp_path / f"{number}.yaml").write_text("a: [1\n b")

    assert "no YAML" in refused(tmp_path)


def test_an_object_of_fifty_megabytes_is_unreadable(tmp_path: Path):
    (tmp_path / "huge.yaml").write_text("kind: ConfigMap\napiVersion: v1\ndata:\n  a: " + "x" * 50_000_000)

    assert "48 MiB large" in refused(tmp_path)


def test_an_alias_bomb_is_unreadable(tmp_path: Path):
    lines = ['a: &a ["lol"]']
    lines += [f"{c}: &{c} [{','.join([f'*{b}'] * 9)}]" for b, c in zip("abcdefgh", "bcdefghi", strict=True)]
    (tmp_path / "bomb.yaml").write_text("\n".join(lines))

    assert "alias" in refused(tmp_path)


def test_nesting_that_kills_the_parser_is_unreadable(tmp_path: Path):
    (tmp_path / "deep.yaml").write_text("- " * 100_000)

    assert "nested" in refused(tmp_path)


def test_a_loop_of_links_is_unreadable(tmp_path: Path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")

    assert refused(tmp_path)


@pytest.mark.parametrize(
    ("content", "word"),
    [("{", "no JSON"), ("[]", "no alert"), ('{"labels": 1}', "no alert"), (None, "no such file")],
)
def test_an_alert_file_that_holds_none_is_unreadable(tmp_path: Path, content: str | None, word: str):
    file = tmp_path / "alert.json"
    if content is not None:
        file.write_text(content)

    assert word in refused(INCIDENT, "--alert", file)


@pytest.mark.parametrize("target", ["checkout", "a/b/c/d", "Pod/Not_A_Namespace/x", "Pod/shop/"])
def test_a_target_of_another_shape_is_unreadable(target: str):
    assert "--target" in refused(INCIDENT, "--target", target)


def test_a_target_that_is_not_recorded_is_named_as_such():
    _, answer = triage(INCIDENT, "--target", "Pod/shop/nobody")

    assert "Pod/shop/nobody: not in the recording" in answer["not_looked_at"]


# --- the launcher -----------------------------------------------------------------------------------------------


def test_it_can_be_called_from_anywhere_and_through_a_link(tmp_path: Path):
    link = tmp_path / "bin" / "kubernaut"
    link.parent.mkdir()
    link.symlink_to(os.path.relpath(ROOT / "kubernaut", link.parent))

    done = subprocess.run(
        [str(link), "triage", str(UNDONE.relative_to(ROOT)), "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    elsewhere = kubernaut("triage", "nowhere", cwd=tmp_path)

    assert done.returncode == 3
    assert elsewhere.returncode == 2


def test_modules_lying_about_are_not_imported(tmp_path: Path):
    for name in ("cli.py", "orjson.py", "typer.py", "typing.py"):
        (tmp_path / name).write_text("raise SystemExit('imported from the working directory')")

    done = kubernaut("triage", ".", cwd=tmp_path)

    assert done.returncode == 2
    assert "working directory" not in done.stderr


def test_without_an_installation_it_says_what_to_run(tmp_path: Path):
    copy = tmp_path / "kubernaut"
    copy.write_bytes((ROOT / "kubernaut").read_bytes())
    copy.chmod(0o755)

    done = subprocess.run([str(copy)], capture_output=True, text=True)

    assert done.returncode == 1
    assert "make -C" in done.stderr
    assert "install" in done.stderr
