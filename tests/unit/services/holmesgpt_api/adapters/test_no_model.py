from __future__ import annotations

from datetime import timedelta

import pytest

from services.holmesgpt_api.adapters.no_model import NoModelConfigured
from services.holmesgpt_api.domain.course import Happening
from services.holmesgpt_api.domain.model import ModelFailed
from services.holmesgpt_api.domain.triage import conclude
from tests.support.investigations import CHECKOUT, claimed, found


@pytest.mark.requirement("HAPI-029")
async def test_what_another_worker_held_falls_back_at_once_where_there_is_no_model():
    async def report(progress: int, stage: str, happened: Happening | None = None, /) -> None:
        raise AssertionError(stage)

    interim = conclude(found(), CHECKOUT, claimed(), "model-still-running")
    with pytest.raises(ModelFailed) as failed:
        await NoModelConfigured().ask(claimed(), interim, within=timedelta(seconds=9), report_progress=report)

    assert failed.value.word == "no-model-configured"
