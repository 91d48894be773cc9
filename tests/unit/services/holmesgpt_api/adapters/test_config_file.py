"""A configuration file inherits, opens what is encrypted, and is refused by naming the place and no value."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from services.holmesgpt_api.adapters.config_file import BadConfiguration, load, seal

pytestmark = pytest.mark.requirement("HAPI-151", "HAPI-152")

MODEL = "llm: {primary: {provider: openai, model: gpt-4.1%s}}\n"


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.requirement("HAPI-153")
def test_sections_are_merged_over_the_file_they_extend_and_lists_are_replaced(tmp_path: Path):
    written(
        tmp_path,
        "base.yaml",
        "holmesgpt: {enabled_toolsets: [kubernetes, prometheus], investigation_timeout: 100}\n"
        "budgets: {run_tokens: 5, run_cost_usd: 1}\nserver: {port: 1}\n" + MODEL % ", timeout: 9",
    )
    path = written(
        tmp_path,
        "site.yaml",
        "extends: base.yaml\nholmesgpt: {enabled_toolsets: [prometheus]}\nbudgets: {run_tokens: null}\n",
    )

    read = load(path, None).configuration

    assert read.holmesgpt.enabled_toolsets == ["prometheus"]
    assert read.holmesgpt.investigation_timeout is not None
    assert (read.budgets.run_tokens, read.budgets.run_cost_usd) == (None, 1)
    assert read.llm is not None
    assert read.llm.primary.model == "gpt-4.1"


@pytest.mark.requirement("HAPI-153")
def test_a_change_of_an_inherited_file_changes_the_digest(tmp_path: Path):
    written(tmp_path, "base.yaml", "server: {port: 1}\n")
    path = written(tmp_path, "site.yaml", "extends: base.yaml\n")
    before = load(path, None).digest

    written(tmp_path, "base.yaml", "server: {port: 2}\n")

    assert load(path, None).digest != before


@pytest.mark.requirement("HAPI-155", "HAPI-107")
def test_an_encrypted_key_is_opened_with_any_of_the_keys(tmp_path: Path):
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    keys = written(tmp_path, "keys", f"{new}\n{old}\n")
    path = written(tmp_path, "c.yaml", MODEL % f", api_key: '{seal('sk-secret', old)}'")

    loaded = load(path, keys)

    assert loaded.configuration.llm is not None
    assert loaded.configuration.llm.primary.api_key == "sk-secret"
    assert "sk-secret" not in repr(loaded)


@pytest.mark.requirement("HAPI-110", "HAPI-155")
def test_no_refusal_repeats_a_secret(tmp_path: Path):
    key = Fernet.generate_key().decode()
    keys = written(tmp_path, "keys", f"{key}\n")
    path = written(
        tmp_path, "c.yaml", MODEL % f", api_key: '{seal('sk-secret', key)}', api_key_file: /k, timeout: -1"
    )

    with pytest.raises(BadConfiguration) as refused:
        load(path, keys)

    assert "llm.primary" in str(refused.value)
    assert "sk-secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (MODEL % ", api_key: sk-plain", "llm.primary.api_key: a secret in plain text"),
        (MODEL % ", api_key: 'enc:v1:abc'", "HOLMESGPT_CONFIG_KEY_FILE names no key"),
        ("server: {port: &a 1, metrics_port: *a}", "aliases"),
        ("server: [1", "line 2: did not find"),
        ("- a", "want sections"),
        ("server: {port: 1, port: 2}", "twice"),
        ("extends: [a, b]", "want the path of one file"),
        ("extends: nowhere.yaml", "nowhere.yaml cannot be read"),
        ("extends: c.yaml", "circle"),
        ("server: {prot: 1}", "server.prot"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_naming_the_place(tmp_path: Path, text: str, said: str):
    path = written(tmp_path, "c.yaml", text)

    with pytest.raises(BadConfiguration, match=said) as refused:
        load(path, None)

    assert "sk-plain" not in str(refused.value)


def test_another_key_than_the_one_it_was_encrypted_with_is_told(tmp_path: Path):
    keys = written(tmp_path, "keys", Fernet.generate_key().decode())
    path = written(tmp_path, "c.yaml", MODEL % f", api_key: '{seal('x', Fernet.generate_key().decode())}'")

    with pytest.raises(BadConfiguration, match=r"llm\.primary\.api_key: encrypted with another key"):
        load(path, keys)


def test_an_empty_file_configures_nothing(tmp_path: Path):
    assert load(written(tmp_path, "c.yaml", ""), None).configuration.llm is None


TOOLSET = """\
type: http
name: {name}
version: 1.0.0
description: Register of hosts
origin: https://cmdb.example.com
credential: {{token: "{token}"}}
tools:
  - name: owner
    description: Who runs a host
    path: /hosts/{{host}}
    parameters: {{properties: {{host: {{type: string}}}}, required: [host]}}
"""


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, str]:
    key = Fernet.generate_key().decode()
    return written(tmp_path, "keys", key), key


@pytest.mark.requirement("HAPI-153", "HAPI-155")
def test_toolsets_are_read_from_a_directory_wherever_the_file_that_names_it_is_inherited(
    tmp_path: Path, keys: tuple[Path, str]
):
    folder = tmp_path / "base" / "toolsets"
    folder.mkdir(parents=True)
    for name in ("b", "a"):
        written(folder, f"{name}.yaml", TOOLSET.format(name=name, token=seal(f"token of {name}", keys[1])))
    written(folder, "notes.txt", "no document")
    written(tmp_path / "base", "base.yaml", "toolsets: {directory: toolsets}\n")
    path = written(tmp_path, "site.yaml", "extends: base/base.yaml\n")

    loaded = load(path, keys[0])
    before = loaded.digest
    written(folder, "a.yaml", TOOLSET.format(name="a2", token=seal("x", keys[1])))

    made = loaded.configuration.toolsets.custom
    assert [(one.name, one.credential and one.credential.token) for one in made] == [
        ("a", "token of a"),
        ("b", "token of b"),
    ]
    assert load(path, keys[0]).digest != before


@pytest.mark.requirement("HAPI-155", "HAPI-107")
def test_a_toolsets_credential_in_plain_text_is_refused_and_not_repeated(tmp_path: Path):
    written(tmp_path, "one.yaml", TOOLSET.format(name="a", token="pla1n-t0ken"))
    path = written(tmp_path, "site.yaml", "toolsets: {directory: .}\n")

    with pytest.raises(BadConfiguration, match="plain text") as refused:
        load(path, None)
    assert "pla1n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("toolsets: {directory: nowhere}\n", "nowhere cannot be read"),
        ("toolsets: {directory: 3}\n", "toolsets.directory"),
        ("toolsets: {custom: [{type: shell, command: id}]}\n", "toolsets.custom.0"),
        ("toolsets: {custom: {}}\n", "toolsets.custom"),
        ("toolsets: {shell: yes}\n", "toolsets.shell"),
    ],
)
def test_toolsets_that_are_none_are_refused_by_their_place(tmp_path: Path, text: str, said: str):
    with pytest.raises(BadConfiguration, match=said):
        load(written(tmp_path, "site.yaml", text), None)
