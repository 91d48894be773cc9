"""One run's questions to foreign systems, without HolmesGPT: as its process would ask them, at a real database."""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from libs.jobs import Jobs
from libs.redaction import Redactor
from libs.storage import Database
from services.holmesgpt_api import worker
from services.holmesgpt_api.adapters.abroad import Abroad
from services.holmesgpt_api.adapters.approvals import PostgresApprovals
from services.holmesgpt_api.adapters.ledger import PostgresLedger
from services.holmesgpt_api.adapters.outbound import Resolve, resolved
from services.holmesgpt_api.adapters.pins import PostgresPins
from services.holmesgpt_api.adapters.run_course import Course
from services.holmesgpt_api.adapters.toolbox import Toolbox
from services.holmesgpt_api.domain.commission import commission
from services.holmesgpt_api.domain.course import Happening
from services.holmesgpt_api.domain.custom.bound import Bound
from services.holmesgpt_api.domain.record import Claimed
from services.holmesgpt_api.engine.foreign import ToolAnswered, ToolAsked
from services.holmesgpt_api.wiring import SCHEMA
from tests.support.holmesgpt import Place
from tests.support.investigations import caller, request
from tests.support.postgres import FreshDatabase, MakeDatabase

KEY = b"0123456789abcdef"


@dataclass
class There:
    """A worker's side: change `toolsets` as a reload would."""

    database: Database
    ledger: PostgresLedger
    approvals: PostgresApprovals
    toolbox: Toolbox
    toolsets: list[Bound]
    counted: list[tuple[str, str]] = field(default_factory=list)

    async def run(self, name: str = "KubePodCrashLooping") -> Claimed:
        """An investigation whose run has begun."""
        record = (
            await self.ledger.open(commission(request(alert_name=name, namespace="shop"), caller(), None))
        ).record
        return await self.again(record.id)

    async def again(self, id_: str) -> Claimed:
        """The same in a later run: the one before has no say any more."""
        claimed = await self.ledger.claim(id_)
        assert claimed is not None
        return claimed

    async def asking(
        self, run: Claimed, *, seconds: float = 60, patience: float = 30, room: int = 8_000
    ) -> Asking:
        tools = await self.toolbox.offered(self.toolsets)
        return Asking(
            Abroad(
                run,
                tools,
                self.toolbox,
                self.approvals,
                Redactor(KEY),
                room=room,
                ends=time.monotonic() + seconds,
                patience=timedelta(seconds=patience),
                observe=lambda type_, word: self.counted.append((type_, word)),
            )
        )


@dataclass
class Asking:
    abroad: Abroad
    course: Course = field(default_factory=lambda: Course({"m": "m"}, time.monotonic(), Redactor(KEY)))
    happened: list[Happening] = field(default_factory=list)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    async def ask(self, tool: str, **arguments: Any) -> ToolAnswered:
        async def tell(happening: Happening) -> None:
            self.happened.append(happening)

        asked = ToolAsked(number=next(self._numbers), tool=tool, arguments=arguments)
        return await self.abroad.answer(asked, self.course, tell)


@asynccontextmanager
async def there(
    where: FreshDatabase | Place, toolsets: Iterable[Bound], *, resolve: Resolve = resolved, at_once: int = 4
) -> AsyncIterator[There]:
    """`where`: a database that is migrated, or a service's own."""
    settings = where.settings() if isinstance(where, Place) else where.settings(SCHEMA)
    database = Database(settings, application=SCHEMA, schema=SCHEMA)
    jobs = Jobs(database, service=SCHEMA)
    worker.declare(jobs)
    current = list(toolsets)
    toolbox = Toolbox(PostgresPins(database), lambda: current, at_once=at_once, every=3600, resolve=resolve)
    approvals = PostgresApprovals(database, pause=timedelta(milliseconds=50))
    ledger = PostgresLedger(database, jobs, life=timedelta(minutes=5))
    try:
        async with approvals:
            yield There(database, ledger, approvals, toolbox, current)
    finally:
        await toolbox.close()
        await database.close()


def migrated(make: MakeDatabase) -> FreshDatabase:
    return make(SCHEMA, migrated=True)
