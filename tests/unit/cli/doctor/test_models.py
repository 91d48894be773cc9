"""Models are seen where a service would see them: in the environment, in its file, and in what that extends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cli.doctor.models import FILE, named
from tests.support.source import ROOT

pytestmark = pytest.mark.requirement("HAPI-146", "HAPI-149")


def file(folder: Path, text: str, name: str = "settings.yaml") -> dict[str, str]:
    (folder / name).write_text(text)
    return {FILE: str(folder / name)}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("llm:\n  primary: {name: a}\n", True),
        ("server: {port: 1}\n'llm' : {primary: {name: a}}\n", True),
        ('{"budgets": {}, "llm": {"primary": {"name": "a"}}}', True),
        ("llm: null\n", False),
        ("llm: ~ # none\n", False),
        ('{"llm": null}', False),
        ("budgets:\n  llm: {}\n# llm: {}\n", False),
        ("[]", False),
        ("", False),
    ],
)
def test_a_file_names_models_in_its_own_section(tmp_path: Path, text: str, told: bool):
    assert named(file(tmp_path, text)) == ([FILE] if told else [])


def test_what_a_file_extends_counts_unless_it_is_taken_away(tmp_path: Path):
    file(tmp_path, "llm: {primary: {name: a}}\n", "base.yaml")

    assert named(file(tmp_path, "extends: base.yaml # ours\nserver: {}\n")) == [FILE]
    assert named(file(tmp_path, '{"extends": "base.yaml"}')) == [FILE]
    assert named(file(tmp_path, "extends: base.yaml\nllm: null\n")) == []


def test_files_in_a_circle_and_files_that_are_not_there_name_none(tmp_path: Path):
    assert named(file(tmp_path, "extends: settings.yaml\n")) == []
    assert named({FILE: str(tmp_path / "none.yaml")}) == []


def test_the_environments_settings_count_unless_they_are_blank():
    assert named({"MODEL": "m", "HOLMESGPT_LLM_MODEL": " "}) == ["MODEL"]


def test_the_example_names_models_for_make_too():
    example = ROOT / "examples/holmesgpt/settings.yaml"

    done = subprocess.run(
        [sys.executable, ROOT / "cli/doctor/models.py"],
        env={FILE: str(example)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == f"{FILE}\n"
