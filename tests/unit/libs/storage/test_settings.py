from __future__ import annotations

import pytest
from pydantic import ValidationError

from libs.storage.settings import StorageSettings

pytestmark = pytest.mark.requirement("INF-BR-SEC-005")


def test_without_a_database_url_nothing_starts_and_the_setting_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("DATABASE_URL", raising=False)

    with pytest.raises(ValidationError, match="database_url"):
        StorageSettings()


def test_the_password_is_not_shown():
    settings = StorageSettings.model_validate({"database_url": "postgresql://u:hidden@h/d"})

    assert "hidden" not in repr(settings)
