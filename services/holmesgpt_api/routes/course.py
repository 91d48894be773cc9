"""`/api/v1/investigate/{id}/…`: the course of one investigation."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Header, Query, Request, Response

from libs.contracts.course import EVENTS
from libs.contracts.feedback import FeedbackReceipt, FeedbackRequest
from libs.contracts.investigations import Investigation, InvestigationAccepted
from libs.contracts.problem import Problem
from libs.contracts.replay import ReplayRequest
from libs.web.sse import KEEP_ALIVE, MEDIA_TYPE, EventStream, event, retry
from services.holmesgpt_api.domain.answer import PATH, investigation
from services.holmesgpt_api.domain.course import Happened
from services.holmesgpt_api.domain.ports import Tally
from services.holmesgpt_api.routes.investigate import (
    PROBLEMS_OF_ONE,
    AtDesk,
    Caller,
    Id,
    Key,
    Responses,
    accepted,
    answered,
)
from services.holmesgpt_api.steps.cancel import cancel
from services.holmesgpt_api.steps.feedback import Opinions
from services.holmesgpt_api.steps.follow import Following
from services.holmesgpt_api.steps.rerun import Rerunning

router = APIRouter(prefix=PATH, tags=["investigations"])

COME_BACK = timedelta(seconds=1)
"""A reader whose stream broke comes back then."""

_LATEST = 2**31 - 1

LastEvent = Annotated[
    int | None,
    Header(
        alias="Last-Event-ID",
        ge=0,
        le=_LATEST,
        description="`id` of the last event you have had; what came after it is sent",
    ),
]
LastEventInQuery = Annotated[
    int | None, Query(ge=0, le=_LATEST, description="the same, for who cannot set headers; the header counts")
]

_STREAM: Responses = {
    200: {
        "description": "Server-sent events: "
        + "; ".join(
            f"`{name}` ({(shape.__doc__ or name).splitlines()[0].strip()})" for name, shape in EVENTS.items()
        )
        + ". `data` is a JSON object, described in `libs/contracts/course.py`.",
        "content": {MEDIA_TYPE: {"schema": {"type": "string"}}},
    },
    204: {"description": "It has ended, and you have had its last event: do not come back"},
}


async def _following(request: Request) -> Following:
    following: Following = request.app.state.ports.following
    return following


@router.get(
    "/{investigation_id}/events", response_class=EventStream, responses={**PROBLEMS_OF_ONE, **_STREAM}
)
async def events(
    investigation_id: Id,
    caller: Caller,
    following: Annotated[Following, Depends(_following)],
    last_event: LastEvent = None,
    last_event_id: LastEventInQuery = None,
) -> Response:
    """What has happened so far, and what happens next, until the end.

    Events are numbered from 1 without gaps. After a broken connection ask again with the last number you have had
    (browsers do so by themselves): you get the rest, each once, from any replica.
    """
    after = last_event if last_event is not None else last_event_id or 0
    chapter = await following.begin(investigation_id, caller, after)
    if chapter.ended and after >= chapter.last:
        return Response(status_code=204)
    leave = following.seat(caller)
    return EventStream(_written(following.events(investigation_id, caller, after, chapter)), on_close=leave)


async def _written(events: AsyncIterator[Happened | None]) -> AsyncIterator[bytes]:
    yield retry(COME_BACK)
    async for one in events:
        yield KEEP_ALIVE if one is None else event(one.name, orjson.dumps(one.told()), id_=str(one.number))


async def _tally(request: Request) -> Tally:
    tally: Tally = request.app.state.ports.tally
    return tally


Counted = Annotated[Tally, Depends(_tally)]


@router.post(
    "/{investigation_id}/cancel",
    response_model=Investigation,
    responses={**PROBLEMS_OF_ONE, 409: {"model": Problem, "description": "It has ended otherwise"}},
)
async def cancel_investigation(
    investigation_id: Id, caller: Caller, desk: AtDesk, tally: Counted
) -> Response:
    """Stop an investigation. For who asked for it, and for administrators; asking again changes nothing.

    It is `cancelled` when this answers. What runs for it anywhere, at a model too, is stopped within about a second.
    """
    record, now = await cancel(desk, investigation_id, caller)
    if now:
        tally.cancelled()
    return answered(investigation(record))


async def _rerunning(request: Request) -> Rerunning:
    rerunning: Rerunning = request.app.state.ports.rerunning
    return rerunning


@router.post(
    "/{investigation_id}/replay",
    status_code=202,
    response_model=InvestigationAccepted,
    responses={
        **PROBLEMS_OF_ONE,
        409: {"model": Problem, "description": "It has not ended, or ended without evidence"},
    },
)
async def replay(
    investigation_id: Id,
    caller: Caller,
    rerunning: Annotated[Rerunning, Depends(_rerunning)],
    request: ReplayRequest | None = None,
    key: Key = None,
) -> Response:
    """Conclude again from the evidence of an investigation that has ended, with another engine, model or prompt.

    The new investigation's `metadata` has `replay_of` and, when it has ended, `diff`: in what the two verdicts differ.
    """
    return accepted(await rerunning.replay(investigation_id, request or ReplayRequest(), caller, key))


async def _opinions(request: Request) -> Opinions:
    opinions: Opinions = request.app.state.ports.opinions
    return opinions


@router.post(
    "/{investigation_id}/feedback",
    responses={**PROBLEMS_OF_ONE, 409: {"model": Problem, "description": "It has not ended yet"}},
)
async def feedback(
    investigation_id: Id,
    given: FeedbackRequest,
    caller: Caller,
    opinions: Annotated[Opinions, Depends(_opinions)],
) -> FeedbackReceipt:
    """Say whether a result helped, and what the cause really was. One opinion for each caller; the last one counts."""
    return await opinions.give(investigation_id, given, caller)
