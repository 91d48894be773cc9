"""Whoever writes the file can check it, encrypt what is secret in it, and give its schema to an editor."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from services.holmesgpt_api.adapters.config_file import load
from services.holmesgpt_api.configure import main
from tests.support.source import ROOT

pytestmark = pytest.mark.requirement("HAPI-147", "HAPI-152", "HAPI-154")

EXAMPLE = ROOT / "examples/holmesgpt/settings.yaml"


@pytest.mark.requirement("HAPI-150", "HAPI-153")
def test_the_documented_example_can_be_used(capsys: pytest.CaptureFixture[str]):
    assert main(["check", str(EXAMPLE)]) == 0

    said = capsys.readouterr().out
    assert "models: house, house-b, hosted" in said
    assert "without effect" not in said
    read = load(EXAMPLE, None).configuration
    assert read.budgets.run_tokens == 400_000
    assert read.budgets.tenants["trial"].tokens_per_day == 500_000


@pytest.mark.requirement("HAPI-012", "HAPI-150")
def test_the_documented_toolsets_can_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "settings.yaml"
    file.write_text(
        f"toolsets: {{directory: {EXAMPLE.parent / 'toolsets'}}}\nholmesgpt: {{default_toolsets: [register]}}\n"
    )

    assert main(["check", str(file)]) == 0

    said = capsys.readouterr().out
    assert "toolset register 1.0.0: http at https://register.example.com" in said
    assert "toolset runbooks 1.0.0: mcp at https://runbooks.example.com" in said


def test_a_file_that_cannot_be_used_is_told_by_exit_code_and_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    bad = tmp_path / "bad.yaml"
    bad.write_text("holmesgpt: {enabled_toolsets: [kubernets]}")

    assert main(["check", str(bad)]) == 1
    assert "no toolset kubernets" in capsys.readouterr().err


def test_what_has_no_effect_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "c.yaml"
    file.write_text('security: {cors_origins: ["*"]}')

    assert main(["check", str(file)]) == 0
    assert "without effect: security.cors_origins" in capsys.readouterr().out


@pytest.mark.requirement("HAPI-155")
def test_a_sealed_value_is_opened_with_the_new_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    assert main(["new-key"]) == 0
    keys, file = tmp_path / "keys", tmp_path / "c.yaml"
    keys.write_text(capsys.readouterr().out)
    monkeypatch.setattr("sys.stdin", io.StringIO("sk-secret\n"))
    assert main(["seal", "--key-file", str(keys)]) == 0
    sealed = capsys.readouterr().out.strip()
    file.write_text(f"llm: {{primary: {{provider: openai, model: m, api_key: '{sealed}'}}}}")

    read = load(file, keys).configuration

    assert "sk-secret" not in sealed
    assert read.llm is not None
    assert read.llm.primary.api_key == "sk-secret"


@pytest.mark.parametrize("content", ["", "no key\n"])
def test_a_key_file_without_a_key_is_told(tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]):
    keys = tmp_path / "keys"
    keys.write_text(content)

    assert main(["seal", "--key-file", str(keys)]) == 1
    assert "want one Fernet key a line" in capsys.readouterr().err
    assert main(["seal", "--key-file", str(tmp_path / "nowhere")]) == 1


def test_the_schema_names_every_section(capsys: pytest.CaptureFixture[str]):
    assert main(["schema"]) == 0

    schema = json.loads(capsys.readouterr().out)
    assert {"llm", "budgets", "holmesgpt", "security", "extends"} <= set(schema["properties"])
    assert schema["additionalProperties"] is False
