from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.app import app
from cli.live import Wanted

pytestmark = pytest.mark.requirement("API-BR-CAPI-001")


def test_the_commands_are_listed_without_arguments():
    result = CliRunner().invoke(app, [])

    commands = ("run", "triage", "record", "serve-recording", "send", "explain", "watch", "doctor", "testbed")
    assert all(command in result.output for command in commands)


@pytest.mark.parametrize(
    "command",
    ["run", "triage", "record", "serve-recording", "send", "explain", "watch", "doctor", "testbed up"],
)
def test_every_command_explains_itself(command: str):
    result = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "200"})

    assert result.exit_code == 0
    assert "Usage: " in result.output


@pytest.mark.parametrize(
    ("arguments", "module", "expected"),
    [
        (["triage", "d", "--alert", "a", "--target", "t", "--mutes", "m", "--json"], "cli.triage",
         ((Path("d"),), {"alert": Path("a"), "target": "t", "mutes": Path("m"), "as_json": True})),
        (["triage", "--live", "--kubeconfig", "k", "--context", "c", "-n", "a", "-n", "b", "--prometheus", "p"], "cli.triage",
         ((Wanted("k", "c", ("a", "b"), None, "p"),), {"alert": None, "target": None, "mutes": None, "as_json": False})),
        (["record", "--out", "o", "--since", "2h", "--namespace", "a", "--name", "eu-1"], "cli.record",
         ((Path("o"), Wanted(namespaces=("a",), since="2h")), {"name": "eu-1"})),
        (["serve-recording", "d", "--port", "0", "--kubeconfig", "k"], "cli.serve_recording.command",
         ((Path("d"),), {"port": 0, "kubeconfig": Path("k")})),
        (["send", "f"], "cli.send", ((Path("f"),), {"url": None, "as_json": False})),
        (["testbed", "up", "--dir", "d"], "cli.testbed", ((Path("d"),), {})),
        (["explain", "x", "--url", "u"], "cli.explain", (("x",), {"url": "u", "as_json": False})),
        (["watch", "--url", "u", "-n", "shop", "--once"], "cli.watch.command",
         ((), {"url": "u", "holmesgpt_url": None, "namespace": "shop", "once": True, "as_json": False})),
        (["doctor", "--json"], "cli.doctor.command", ((), {"as_json": True})),
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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["triage"], "either DIR or --live"),
        (["triage", "d", "--live"], "either DIR or --live"),
        (["triage", "d", "--context", "c"], "need --live"),
        (["record"], "--out"),
        (["serve-recording"], "DIR"),
        (["serve-recording", "d", "--port", "70000"], "65535"),
    ],
)
def test_options_that_cannot_be_meant_together_are_refused(arguments: list[str], words: str):
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})

    assert result.exit_code == 2
    assert words in result.output
