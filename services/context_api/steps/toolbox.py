"""Answer a tool's call by the very steps that answer HTTP's routes, with their bytes."""

from __future__ import annotations

from datetime import timedelta

from libs.auth.principal import Principal
from libs.contracts.bundle import BundleRequest
from services.context_api.domain import tools
from services.context_api.domain.excerpt import Wanted
from services.context_api.domain.selector import parse_selector
from services.context_api.domain.tools import (
    LARGEST,
    ROOM,
    TOOLS,
    Arguments,
    FindCauses,
    GetBundle,
    GetContext,
    GetEvidence,
    GetLogs,
    GetTopology,
    ListObjects,
    ResolveAlert,
    TargetText,
    TooLarge,
)
from services.context_api.steps.ask import About, Desk, as_json
from services.context_api.steps.bundles import Bundles
from services.context_api.steps.recall import Recall

PAGE = 20
"""Facts on one page of a tool: a model that needs the next ones asks for them."""

UNKNOWN = "unknown"
CALLED = (*TOOLS, UNKNOWN)
ENDED = ("answered", "refused", "failed")
"""How a call ended: with an answer, with a reason why there is none, or by our fault."""


class Toolbox:
    """Takes the calls. One per process."""

    def __init__(self, desk: Desk, bundles: Bundles, recall: Recall) -> None:
        self._desk, self._bundles, self._recall = desk, bundles, recall

    async def call(self, name: str, given: object, caller: Principal, left: timedelta | None) -> bytes:
        """The answer, as JSON.

        Raises:
            ToolError: the call cannot be answered as it was made.
            ContextError: as for the route that answers the same question.
        """
        asked = tools.parse(name, given)
        answer = await self._answer(asked, caller, left)
        if len(answer) > LARGEST:
            raise TooLarge(len(answer), TOOLS[name].smaller)
        return answer

    async def _answer(self, asked: Arguments, caller: Principal, left: timedelta | None) -> bytes:
        desk = self._desk
        match asked:
            case FindCauses():
                return await desk.causes(about(asked.target), asked.onset, caller, left)
            case GetBundle():
                return await self._bundles.bundle(request(asked), caller, left)
            case GetEvidence(id=str(fact)):
                return await desk.one(fact, caller, left)
            case GetEvidence(target=str(target)):
                kind = tools.kind_of(asked.kind)
                return await desk.evidence(about(target), kind, PAGE, asked.cursor, caller, left, room=ROOM)
            case GetLogs():
                wanted = Wanted(asked.container, asked.previous, asked.tail, asked.contains, asked.clustered)
                return await desk.logs(asked.namespace, asked.pod, wanted, caller, left)
            case ListObjects():
                place = tools.scope(asked.namespace)
                chosen = parse_selector(asked.labels)
                return await desk.listing(place, asked.resource, chosen, caller, left, room=ROOM)
            case GetTopology():
                return await self._bundles.topology(about(asked.target), asked.depth, caller, left)
            case ResolveAlert():
                return as_json(await desk.resolve(asked.labels, None, caller, left))
            case GetContext():
                return await self._recall.context(asked, caller, left)
        raise TypeError(type(asked).__name__)


def about(text: TargetText) -> About:
    """The object a tool's `target` names."""
    kind, namespace, name = text.split("/")
    word, _, group = kind.partition(".")
    return About(word, group or None, tools.scope(namespace), name)


def request(asked: GetBundle) -> BundleRequest:
    """The body that HTTP's caller would have sent."""
    given = {"target": tools.target_of(asked.target)} if asked.target else {"alert": {"labels": asked.labels}}
    return BundleRequest.model_validate(
        {**given, "investigation_type": asked.investigation_type, "max_tokens": asked.max_tokens}
    )
