"""What an operator can set about the engine: its environment, and how long its processes serve."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.contracts.base import Duration
from libs.web.settings import Ports, WordList


class EngineSettings(BaseSettings):
    """The engine. Without a model's name there is none."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True, extra="ignore", populate_by_name=True)

    engine_python: Path = Field(
        default=Path(".venv-holmes/bin/python"), validation_alias="HOLMESGPT_ENGINE_PYTHON"
    )
    """Interpreter of the engine's environment; relative to the installation's directory."""

    engine_start_timeout: Duration = Field(
        default=timedelta(seconds=120), validation_alias="HOLMESGPT_ENGINE_START_TIMEOUT", gt=timedelta(0)
    )
    """Longest time the engine may take to be ready, in seconds. It takes 4 to 20, the first time longer."""

    engine_confinement: Literal["auto", "required", "off"] = Field(
        default="auto", validation_alias="HOLMESGPT_ENGINE_CONFINEMENT"
    )
    """Whether the kernel (Linux, Landlock) keeps the engine in: it reads programs, libraries and the system's configuration,
    writes in its own temporary directory, executes nothing, and connects to the ports of its models and the Context API.
    `auto`: where the kernel can, and the log and `/health` say which; `required`: else there is no engine; `off`."""

    engine_ports: Ports = Field(default_factory=list, validation_alias="HOLMESGPT_ENGINE_PORTS")
    """Further TCP ports that a confined engine may connect to, e.g. 80 for a cloud's metadata service. Those of models, the
    Context API, proxies and name servers need not be named."""

    engine_environment: WordList = Field(
        default_factory=list, validation_alias="HOLMESGPT_ENGINE_ENVIRONMENT"
    )
    """Names of further environment variables that the engine gets to see, e.g. `AWS_PROFILE` for Bedrock. It
    sees the path, the locale, proxies and certificate files, and nothing else of ours. Where one names a file, a confined
    engine may read that file's directory."""

    engine_idle_children: int | None = Field(
        default=None, ge=0, le=100, validation_alias="HOLMESGPT_ENGINE_IDLE_CHILDREN"
    )
    """Processes that wait for another question of the same caller, with the same namespaces and models; 0: each question
    has a process of its own. Unset: as many as `HOLMESGPT_MAX_RUNNING`, whose memory they take while it is not needed."""

    engine_spare_children: int = Field(
        default=1, ge=0, le=20, validation_alias="HOLMESGPT_ENGINE_SPARE_CHILDREN"
    )
    """Processes kept ready for a caller that has none. One takes 30 to 40 ms to be made, and little memory before it is
    used."""

    engine_child_age: Duration = Field(
        default=timedelta(hours=1), validation_alias="HOLMESGPT_ENGINE_CHILD_AGE", gt=timedelta(0)
    )
    """How long one process serves, in seconds. What a library leaks slowly is given back within the hour."""

    engine_child_runs: int = Field(
        default=500, ge=1, le=1_000_000, validation_alias="HOLMESGPT_ENGINE_CHILD_RUNS"
    )
    """Questions one process serves. Making one anew costs as much as two questions, so that 500 make it count for
    nothing."""

    engine_child_memory: int = Field(
        default=160, ge=16, le=100_000, validation_alias="HOLMESGPT_ENGINE_CHILD_MEMORY"
    )
    """MiB that one process may have for itself, beyond what it shares, after a run. Twice what `HOLMESGPT_MAX_RUNNING`
    reckons with: more is a leak, or a run that has read very much."""

    engine_child_idle: Duration = Field(
        default=timedelta(minutes=5), validation_alias="HOLMESGPT_ENGINE_CHILD_IDLE", gt=timedelta(0)
    )
    """How long a process waits for another question, in seconds. People ask again within a minute or two."""

    engine_memory_high: float = Field(
        default=0.9, gt=0, le=1, validation_alias="HOLMESGPT_ENGINE_MEMORY_HIGH"
    )
    """Share of the memory allowed (the container's limit, else the machine's) from which on no process waits: they are
    the first to go. The last tenth is for the runs under way."""
