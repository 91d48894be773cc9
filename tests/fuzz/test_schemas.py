"""Requests generated from the services' own OpenAPI documents, valid and not: none may end in a 500."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.stack import Stack, running

pytestmark = [
    pytest.mark.requirement(
        "API-BR-SEC-006", "API-BR-API-004", "INT-BR-WH-003", "INT-BR-WH-024", "HAPI-073", "HAPI-096"
    ),
    pytest.mark.xdist_group("stack"),
]

SEED = "20261121"

NO_ANSWER_IS_ONE = """
[[operations]]
include-path = "/api/v1/chat"
[operations.checks]
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "503"]
[[operations]]
include-path-regex = "^/api/v1/health/"
[operations.checks]
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "503"]
"""
"""A question that nobody can answer, as a generated one is, gets 503 `no-model`: that is what is to be said. So is the
503 of a health route: no model is configured here.
"""


def fuzz(stack: Stack, service: str, folder: Path, *, examples: int, seed: str | None) -> str:
    """Run schemathesis against one service; its report, or the test fails."""
    (folder / "schemathesis.toml").write_text(NO_ANSWER_IS_ONE)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{stack.urls[service]}/openapi.json"),
            *("--checks", "not_a_server_error", "--max-examples", str(examples), "--no-color"),
            *("--header", f"Authorization: Bearer {stack.keys.operator_key}", "--request-timeout", "30"),
            # Asking for another second is an answer, not a finding.
            *("--suppress-health-check", "all", *(("--seed", seed) if seed else ())),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
    )
    assert done.returncode == 0, f"{service}:\n{done.stdout[-8000:]}\n{done.stderr[-2000:]}"
    return done.stdout


async def fuzz_all(tmp_path: Path, *, examples: int, seed: str | None) -> None:
    limits = {"RATE_LIMIT_REQUESTS": "1000000"}
    async with running(tmp_path, environment=limits) as stack:
        reports = {
            service: fuzz(stack, service, tmp_path, examples=examples, seed=seed) for service in stack.urls
        }
    for service, report in reports.items():
        print(f"{service}: {report.strip().splitlines()[-1]}")
    assert set(reports) == {"alerts", "context_api", "holmesgpt_api", "notifications"}


async def test_no_generated_request_ends_in_a_500(tmp_path):
    await fuzz_all(tmp_path, examples=15, seed=SEED)


@pytest.mark.campaign
async def test_no_generated_request_ends_in_a_500_in_a_long_run(tmp_path):
    await fuzz_all(tmp_path, examples=500, seed=None)
