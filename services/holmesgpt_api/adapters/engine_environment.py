"""From an operator's settings to the engine's: what its process gets to see, and how long its children serve."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from services.holmesgpt_api.adapters.memory import used
from services.holmesgpt_api.adapters.residents import Residents
from services.holmesgpt_api.domain.residence import Policy, Why
from services.holmesgpt_api.settings_engine import EngineSettings

MIB = 1024 * 1024


def environment(passed_on: Mapping[str, str], *, home: Path, base_url: str | None) -> dict[str, str]:
    """All that the engine gets to see: what it needs to run and to reach a model, and how the SDK must behave.

    No credential of ours and no address of a database: the model's key travels with each run's request.
    """
    return {
        **passed_on,
        "HOME": str(home),
        "TMPDIR": str(home),
        "PYTHONUNBUFFERED": "1",
        "PYTHONNOUSERSITE": "1",
        # Without this it fetches a price list from the internet at import.
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_MODE": "PRODUCTION",  # or a stray .env file is read
        # Some model names would be looked up at huggingface.co: 23 s offline (measured).
        "HF_HUB_OFFLINE": "1",
        "ROBUSTA_AI": "false",
        "ENABLE_TELEMETRY": "false",
        # Ours ends such a run instead: compaction would cost another call and forget what can be cited.
        "ENABLE_CONVERSATION_HISTORY_COMPACTION": "false",
        "HOLMES_TOOL_RESULT_STORAGE_ENABLED": "false",
        "TEMPERATURE": "",
        **({"OLLAMA_API_BASE": base_url} if base_url else {}),
    }


def policy(settings: EngineSettings, places: int) -> Policy:
    """`places`: runs at once, for whose memory there is room; processes that wait take the rest of it."""
    kept = settings.engine_idle_children
    return Policy(
        idle=places if kept is None else kept,
        spare=min(settings.engine_spare_children, places),
        most=places,
        age=settings.engine_child_age,
        runs=settings.engine_child_runs,
        memory=settings.engine_child_memory * MIB,
        rest=settings.engine_child_idle,
        pressure=settings.engine_memory_high,
    )


def residents(settings: EngineSettings, places: int, observe: Callable[[Why], None]) -> Residents:
    rules = policy(settings, places)

    def pressed() -> bool:
        share = used()
        return share is not None and share >= rules.pressure

    return Residents(rules, pressed=pressed, observe=observe)
