"""Run one worker of procrastinate, and start it again when the database has been away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from libs.jobs.jobs import Jobs


async def run_worker(jobs: Jobs, stop: asyncio.Event) -> None:
    await stop.wait()
