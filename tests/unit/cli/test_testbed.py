from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from cli.testbed import NOT_HERE, main

pytestmark = pytest.mark.requirement("INT-BR-TEST-005")


class Becoming:
    """Notes what this process would have become."""

    def __init__(self) -> None:
        self.program, self.command = "", [""]
        self.environment: Mapping[str, str] = {}

    def __call__(self, program: str, command: list[str], environment: Mapping[str, str]) -> None:
        self.program, self.command, self.environment = program, command, environment


def test_it_becomes_the_test_bed_of_this_repository():
    becoming = Becoming()

    main(None, become=becoming)

    assert becoming.program == sys.executable
    assert becoming.command[1:] == ["-P", "-m", "tests.testbed", "up"]
    assert (Path(becoming.environment["PYTHONPATH"]) / "tests" / "testbed").is_dir()


def test_a_directory_given_relative_to_here_stays_the_same_one():
    becoming = Becoming()

    main(Path("somewhere"), become=becoming)

    assert becoming.command[-2:] == ["--dir", str(Path.cwd() / "somewhere")]


def test_without_the_tests_it_says_what_is_missing(capsys: pytest.CaptureFixture[str]):
    becoming = Becoming()

    code = main(None, root=Path("/nonexistent"), become=becoming)

    assert (code, becoming.program) == (NOT_HERE, "")
    assert "/nonexistent/tests/testbed is not there" in capsys.readouterr().err
