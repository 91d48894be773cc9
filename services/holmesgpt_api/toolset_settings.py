"""What an operator can set about toolsets of foreign systems; `settings.py` puts it among the rest."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.contracts.base import Duration
from libs.web.settings import WordList


class ToolsetSettings(BaseSettings):
    """Toolsets of foreign systems, which the configuration file describes."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True, extra="ignore", populate_by_name=True)

    toolset_origins: WordList = Field(default_factory=list, validation_alias="HOLMESGPT_TOOLSET_ORIGINS")
    """Origins (`https://cmdb.example.com`, `http://127.0.0.1:9000`) that custom toolsets may speak to: scheme, host
    and port exactly. Empty: none, so that a document alone opens nothing. A private address is asked only because it
    is listed here by name; addresses of metadata services and link-local ones are never asked."""

    toolset_concurrency: int = Field(default=4, ge=1, le=50, validation_alias="HOLMESGPT_TOOLSET_CONCURRENCY")
    """Calls of one origin at once, per worker process; more wait their turn. Few, because a foreign system did not ask
    for an alert storm."""

    toolset_look_interval: Duration = Field(
        default=timedelta(seconds=60), validation_alias="HOLMESGPT_TOOLSET_LOOK_INTERVAL", gt=timedelta(0)
    )
    """Pause between two looks at what MCP servers offer, in seconds; each call looks as well."""

    approval_timeout: Duration = Field(
        default=timedelta(seconds=180), validation_alias="HOLMESGPT_APPROVAL_TIMEOUT", gt=timedelta(0)
    )
    """Longest wait for a person to agree to a change, in seconds, and never so long that its run could not conclude by
    its deadline. Meanwhile the run keeps its place at the model. Three minutes of an investigation's five."""
