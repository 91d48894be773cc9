"""Settings: every one says its unit, default and reason, and docs/settings.md says what the classes say."""

from __future__ import annotations

import pytest

from tools import settings_docs
from tools.generated import stale
from tools.services import services, settings_class

pytestmark = pytest.mark.requirement("HAPI-146", "HAPI-148", "HAPI-150")


@pytest.mark.parametrize("service", services())
def test_every_setting_is_documented_beside_its_field(service: str):
    assert settings_docs.undocumented(settings_class(service)) == []


@pytest.mark.parametrize("service", services())
def test_no_secret_has_a_default(service: str):
    defaults = {
        name: field.get_default(call_default_factory=True, validated_data={})
        for name, field in settings_class(service).model_fields.items()
        if not field.is_required() and "Secret" in str(field.annotation)
    }

    assert {name: default for name, default in defaults.items() if default is not None} == {}


def test_the_document_is_fresh():
    by_service = {service: settings_docs.settings_of(settings_class(service)) for service in services()}

    assert stale({settings_docs.DOCUMENT: settings_docs.render(by_service)}) == [], "run: make settings"
