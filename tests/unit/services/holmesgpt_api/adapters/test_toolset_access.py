"""Which toolsets may be asked, and with what: the operator's list decides, and no secret is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.holmesgpt_api.adapters.config_file import BadConfiguration
from services.holmesgpt_api.adapters.toolset_access import bind
from services.holmesgpt_api.domain.custom.document import Documents
from services.holmesgpt_api.settings import Settings
from tests.support.toolsets import http

pytestmark = pytest.mark.requirement("HAPI-012", "HAPI-079", "HAPI-107")

CMDB = "https://cmdb.example.com"


def settings(*origins: str) -> Settings:
    return Settings.model_validate(
        {"database_url": "postgresql://h/d", "llm_model": None, "toolset_origins": list(origins)}
    )


def documents(**fields: Any) -> Documents:
    return Documents.model_validate({"custom": [http(CMDB, **fields)]})


def test_without_the_operators_list_nothing_may_be_asked_and_no_credential_is_read():
    (one,) = bind(settings(), documents(credential={"token_file": "/nowhere/at/all"}))

    assert one.withdrawn
    assert one.headers == ()


def test_fixed_headers_and_the_credential_go_with_each_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    token = tmp_path / "token"
    token.write_text("s3cr3t\n")
    monkeypatch.setenv("CMDB_TOKEN", "fr0m-env")
    of_file = documents(headers={"X-Team": "sre"}, credential={"token_file": str(token)})
    of_environment = documents(credential={"token_env": "CMDB_TOKEN", "header": "X-Api-Key", "scheme": ""})

    assert bind(settings(CMDB), of_file)[0].headers == (("X-Team", "sre"), ("Authorization", "Bearer s3cr3t"))
    assert bind(settings(CMDB), of_environment)[0].headers == (("X-Api-Key", "fr0m-env"),)


@pytest.mark.parametrize(
    ("credential", "said"),
    [
        ({"token_file": "/nowhere/at/all"}, "cannot be read"),
        ({"token_env": "NO_SUCH_VARIABLE"}, "has no NO_SUCH_VARIABLE"),
        ({"token": "s3cr3t\r\nX-Evil: 1"}, "none that a header can carry"),
        ({"token": "s3cr3t-ä"}, "none that a header can carry"),
        ({"token": ""}, "empty"),
        ({"token": "s3cr3t" * 2_000}, "none that a header can carry"),
    ],
)
def test_a_credential_that_cannot_be_used_is_refused_without_repeating_it(
    credential: dict[str, str], said: str
):
    with pytest.raises(BadConfiguration, match=said) as refused:
        bind(settings(CMDB), documents(credential=credential))
    assert "s3cr3t" not in str(refused.value)


@pytest.mark.parametrize("origin", ["*", "cmdb.example.com", "https://*.example.com", "https://cmdb/api"])
def test_a_text_in_the_list_that_is_no_origin_is_refused(origin: str):
    with pytest.raises(BadConfiguration, match="HOLMESGPT_TOOLSET_ORIGINS"):
        bind(settings(origin), documents())
