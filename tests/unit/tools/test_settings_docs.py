from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Literal

import pytest
from pydantic import AliasChoices, Field, HttpUrl, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from tools.settings_docs import render, settings_of, undocumented

pytestmark = pytest.mark.requirement("HAPI-148", "HAPI-150")


class Colour(StrEnum):
    red = "red"
    blue = "blue"


class Shared(BaseSettings):
    model_config = SettingsConfigDict(use_attribute_docstrings=True)

    log_level: Literal["INFO", "DEBUG"] = "INFO"
    """How much is written."""


class Example(Shared):
    port: int = Field(default=8092, validation_alias=AliasChoices("ALERTS_PORT", "PORT"))
    """HTTP port."""
    database_url: SecretStr
    """Where the record is."""
    keys: Path | None = Field(default=None, validation_alias="KEYS_FILE")
    """Keys | file."""
    pause: timedelta = timedelta(minutes=2)
    """Between tries."""
    deadline: timedelta = timedelta(milliseconds=500)
    """For one call."""
    peer: HttpUrl = HttpUrl("http://127.0.0.1:1")
    """Who is called."""
    colour: Colour = Colour.blue
    """Of the bike shed."""
    tags: list[str] = Field(default_factory=list)
    """Labels."""
    strict: bool = True
    """Whether."""


class Bare(BaseSettings):
    timeout: int = 10


def test_every_setting_is_a_row_with_names_type_default_and_meaning():
    rows = render({"example": settings_of(Example)}).splitlines()

    assert "| `ALERTS_PORT`<br>`PORT` | integer | `8092` | HTTP port. |" in rows
    assert "| `DATABASE_URL` | secret | required | Where the record is. |" in rows
    assert "| `KEYS_FILE` | path | not set | Keys \\| file. |" in rows
    assert "| `PAUSE` | duration | 2 min | Between tries. |" in rows
    assert "| `DEADLINE` | duration | 500 ms | For one call. |" in rows
    assert "| `PEER` | URL | `http://127.0.0.1:1/` | Who is called. |" in rows
    assert "| `COLOUR` | `red`, `blue` | `blue` | Of the bike shed. |" in rows
    assert "| `TAGS` | list of text | empty | Labels. |" in rows
    assert "| `STRICT` | `true` or `false` | `true` | Whether. |" in rows


def test_a_setting_of_several_services_is_listed_once_with_their_names():
    text = render({"one": settings_of(Shared), "two": settings_of(Example), "three": settings_of(Bare)})

    assert text.count("`LOG_LEVEL`") == 1
    assert "| `LOG_LEVEL` | `INFO`, `DEBUG` | `INFO` | How much is written. | one, two |" in text
    assert "## one\n\nNothing beyond the shared ones." in text


def test_a_setting_without_a_docstring_is_found():
    assert undocumented(Bare) == ["timeout"]
    assert undocumented(Example) == []
