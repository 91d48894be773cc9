"""What the routes take: who asks, and an object named by a path. Shapes only; whether it exists is asked later."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

from fastapi import Depends, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.requests import HTTPConnection

from libs.auth.guards import RequirePermission
from libs.auth.permissions import Permission, Role
from libs.auth.principal import Principal
from libs.contracts.base import PlausibleTime
from libs.contracts.evidence import EvidenceId, EvidenceKind
from libs.contracts.problem import Problem
from libs.contracts.target import CLUSTER_SCOPE, Cluster
from services.context_api.domain.dossier import MOST_ITEMS
from services.context_api.domain.excerpt import MOST_LINES, Wanted
from services.context_api.steps.ask import About, Desk
from services.context_api.steps.older import Older
from services.context_api.steps.turns import ASKING, Asking

URGENCY_HEADER = "x-request-priority"


class _Asking(RequirePermission):
    """Who may look at evidence; and what the request says of its urgency, for when its turn must be waited for."""

    async def __call__(self, connection: HTTPConnection) -> Principal:
        caller = await super().__call__(connection)
        asking = Asking(
            caller=f"{caller.tenant}:{caller.name}:{caller.run or ''}",
            word=connection.headers.get(URGENCY_HEADER),
            # A run's token never leaves our engine, which says its investigation's priority.
            by_service=not caller.roles.isdisjoint((Role.service, Role.run)),
        )
        try:
            _ = asking.chosen
        except ValueError as error:
            raise RequestValidationError(
                [{"type": "value_error", "loc": ("header", URGENCY_HEADER), "msg": str(error)}]
            ) from None
        ASKING.set(asking)
        return caller


Caller = Annotated[Principal, Depends(_Asking(Permission.view_context))]

Namespace = Annotated[
    str,
    Path(
        max_length=63,
        pattern=rf"^({CLUSTER_SCOPE}|[a-z0-9]([a-z0-9-]*[a-z0-9])?)$",
        description=f"a namespace, or `{CLUSTER_SCOPE}` for objects that have none",
    ),
]
Kind = Annotated[
    str,
    Path(
        max_length=317,
        pattern=r"^[A-Za-z][A-Za-z0-9]{0,62}(\.[a-z0-9]([a-z0-9.-]*[a-z0-9])?)?$",
        description="`Kind` or `Kind.group`, e.g. `Pod`, `Deployment.apps`",
    ),
]
Name = Annotated[str, Path(max_length=253, pattern=r"^[A-Za-z0-9]([A-Za-z0-9._:-]*[A-Za-z0-9])?$")]
Resource = Annotated[
    str,
    Path(
        max_length=253,
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9._:-]*[A-Za-z0-9])?$",
        description="a kind in any of kubectl's spellings (`pods`, `deploy`), or an object's name",
    ),
]
ClusterName = Annotated[Cluster | None, Query()]
Labels = Annotated[
    str,
    Query(
        max_length=4096,
        description="`key=value,key2=value2`; also `!=`, `key`, `!key`, `in (…)`, `notin (…)`, `<`, `>`",
    ),
]

EvidenceRef = Annotated[EvidenceId, Path(description="an id cited by an answer, e.g. `ev-0123456789abcdef`")]
Pod = Annotated[str, Path(max_length=253, pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")]
OwnNamespace = Annotated[str, Path(max_length=63, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")]
OfKind = Annotated[EvidenceKind | None, Query(description="only facts of this kind")]
PageSize = Annotated[int, Query(ge=1, le=MOST_ITEMS, description="facts on one page")]
Cursor = Annotated[EvidenceId | None, Query(description="`next_cursor` of the page before")]


async def _wanted(
    container: Annotated[
        str | None,
        Query(
            max_length=63,
            pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$",
            description="left out: the one the pod names as its default, else its first that has a log",
        ),
    ] = None,
    previous: Annotated[bool, Query(description="the log of the instance before the last restart")] = False,
    tail: Annotated[
        int, Query(ge=1, le=MOST_LINES, description="lines from the end, of those that match")
    ] = 100,
    contains: Annotated[
        str, Query(max_length=200, description="only lines that hold this text, in any case; no pattern")
    ] = "",
    clustered: Annotated[
        bool,
        Query(description="show lines that differ only in times, numbers and ids once, with their count"),
    ] = False,
) -> Wanted:
    return Wanted(container, previous, tail, contains, clustered)


WantedLines = Annotated[Wanted, Depends(_wanted)]

Onset = Annotated[
    PlausibleTime | None, Query(description="when the alert began; narrows what counts as recent")
]


async def _about(namespace: Namespace, kind: Kind, name: Name, cluster: ClusterName = None) -> About:
    word, _, group = kind.partition(".")
    return About(word, group or None, scope(namespace), name, cluster)


Object = Annotated[About, Depends(_about)]


async def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.ports.desk
    return desk


AtDesk = Annotated[Desk, Depends(_desk)]


async def _older(request: Request) -> Older:
    older: Older = request.app.state.ports.older
    return older


AtOlder = Annotated[Older, Depends(_older)]


SEVERAL = frozenset({"sources"})
"""Parameters that are lists, and may be given more than once."""


async def each_once(request: Request) -> None:
    """Refuse a parameter that is there twice: we would take the last, and a proxy or a log in front the first.

    Raises:
        RequestValidationError: names it.
    """
    if b"&" not in request.scope["query_string"]:
        return
    names = Counter(name for name, _ in request.query_params.multi_items())
    twice = [name for name, count in names.items() if count > 1 and name not in SEVERAL]
    if twice:
        raise RequestValidationError(
            [
                {"type": "repeated", "loc": ("query", name), "msg": "given more than once; give it once"}
                for name in twice
            ]
        )


EACH_ONCE = Depends(each_once)
"""Every router of this service has it."""


def scope(namespace: str) -> str | None:
    return None if namespace == CLUSTER_SCOPE else namespace


RESPONSES: dict[int | str, dict[str, Any]] = {
    code: {"model": Problem, "description": said}
    for code, said in {
        403: "No permission, or no right to read the namespace",
        404: "No such object, kind, cluster, log or evidence",
        422: "Invalid input",
        503: "No evidence now, or not in time",
    }.items()
}
