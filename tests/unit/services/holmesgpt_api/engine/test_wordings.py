"""The versions of our words that are offered are those that there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from libs.contracts.replay import ReplayRequest
from services.holmesgpt_api.engine import wordings
from services.holmesgpt_api.engine.wordings import PROMPT_VERSION, WORDINGS

pytestmark = pytest.mark.requirement("HAPI-161")


def test_every_version_has_words_of_its_own_and_no_words_are_without_a_version():
    folder = Path(wordings.__file__).with_name("prompts")

    assert {one.name for one in folder.iterdir() if one.is_dir()} == set(WORDINGS)
    assert all((folder / version / "system.md").is_file() for version in WORDINGS)


def test_the_version_of_every_investigation_is_offered_first():
    assert next(iter(WORDINGS)) == PROMPT_VERSION
    assert len(WORDINGS) > 1


@pytest.mark.parametrize("version", WORDINGS)
def test_a_replay_can_name_each_of_them(version: str):
    assert ReplayRequest(prompt_version=version).prompt_version == version
    assert WORDINGS[version]
