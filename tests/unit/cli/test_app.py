from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.app import app

pytestmark = pytest.mark.requirement("API-BR-CAPI-001")


def test_the_commands_are_listed_without_arguments():
    result = CliRunner().invoke(app, [])

    assert all(command in result.output for command in ("run", "triage", "send", "explain", "testbed"))


@pytest.mark.parametrize("command", ["run", "triage", "send", "explain", "testbed up"])
def test_every_command_explains_itself(command: str):
    result = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "200"})

    assert result.exit_code == 0
    assert "Usage: " in result.output


@pytest.mark.parametrize(
    ("arguments", "module", "expected"),
    [
        (["triage", "d", "--alert", "a", "--target", "t", "--json"], "cli.triage",
         ((Path("d"),), {"alert": Path("a"), "target": "t", "as_json": True})),
        (["send", "f"], "cli.send", ((Path("f"),), {"url": None, "as_json": False})),
        (["testbed", "up", "--dir", "d"], "cli.testbed", ((Path("d"),), {})),
        (["explain", "x", "--url", "u"], "cli.explain", (("x",), {"url": "u", "as_json": False})),
    ],
)  # fmt: skip
def test_options_reach_the_command_and_its_exit_code_comes_back(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], module: str, expected: tuple[object, object]
):
    calls: list[tuple[object, object]] = []

    def main(*args: object, **options: object) -> int:
        calls.append((args, options))
        return 3

    monkeypatch.setattr(f"{module}.main", main)

    assert CliRunner().invoke(app, arguments).exit_code == 3
    assert calls == [expected]
