"""The course of an investigation as events: what `GET /api/v1/investigate/{id}/events` sends.

Each event has a number (its `id`, from 1, without gaps), a name, and a JSON object of the shape that belongs to the
name. A reader skips names it does not know: later releases may add some.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from libs.contracts.base import Contract, UtcTime
from libs.contracts.target import Target


class EventName(StrEnum):
    started = "started"
    running = "running"
    progress = "progress"
    interim = "interim"
    held = "held"
    step = "step"
    tool = "tool"
    degraded = "degraded"
    completed = "completed"
    failed = "failed"
    cancelled = "cancelled"


class CourseEvent(Contract):
    """What all events have."""

    at: UtcTime = Field(description="when it was so, by the database's clock")


class Started(CourseEvent):
    """It has been taken, and will end."""

    alert_name: str


class Running(CourseEvent):
    """A worker has begun, or begun again after another one was lost."""

    run: int = Field(
        ge=1, description="which run it is; more than 2 with a model, 1 without: work was taken over"
    )
    progress: int
    stage: str


class Progress(CourseEvent):
    progress: int
    stage: str


class Concluded(CourseEvent):
    """A verdict in short; the whole is at `GET /api/v1/investigate/{id}`."""

    engine: str
    summary: str
    root_cause: str | None = None
    target: Target | None = Field(default=None, description="the object at fault")
    confidence: float | None = None
    no_cause_reason: str | None = None


class InterimVerdict(Concluded):
    """Triage's verdict, while a model is still to be asked."""


class Held(CourseEvent):
    """It waits for a place at the model."""

    progress: int
    waiting_before: int = Field(
        description="how many had their turn before it, as the line stood when it came"
    )


class ModelStep(CourseEvent):
    """The model is asked for its next move."""

    number: int


class ToolCalled(CourseEvent):
    """The model has asked a question of the Context API, and it was answered or not."""

    tool: str
    ok: bool
    seconds: float
    evidence: int = Field(description="facts the answer showed")


class Degraded(CourseEvent):
    """Why no model's verdict stands."""

    reason: str
    detail: str | None = None


class Completed(Concluded):
    """The last event of one that ended with a verdict."""


class Failed(CourseEvent):
    """The last event of one that ended without a verdict."""

    error_code: str
    error: str


class Cancelled(CourseEvent):
    """The last event of one that was stopped."""

    by: str


EVENTS = dict[EventName, type[CourseEvent]](
    {
        EventName.started: Started,
        EventName.running: Running,
        EventName.progress: Progress,
        EventName.interim: InterimVerdict,
        EventName.held: Held,
        EventName.step: ModelStep,
        EventName.tool: ToolCalled,
        EventName.degraded: Degraded,
        EventName.completed: Completed,
        EventName.failed: Failed,
        EventName.cancelled: Cancelled,
    }
)
"""What a reader can rely on; nothing comes after `completed`, `failed` or `cancelled`."""
