"""Which models there are, in which order a run asks them, and how each of them is doing.

Held by a worker across its runs: what one run finds out about a model the next one begins with. A model that is
left alone goes to the end of the line and is never struck off it, so that a run is not without any.
"""

from __future__ import annotations

import math
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from services.holmesgpt_api.domain.errors import HolmesError
from services.holmesgpt_api.engine.messages import ModelAccess, ModelAsked

FAILURES_IN_A_ROW = 3
"""Requests. One run may have made all of them, seconds apart; a fourth would hear the same."""

ALONE = 30.0
"""Seconds that a failing model is left alone, where it does not say how long itself."""

ALONE_UNTIL_MENDED = 300.0
"""Seconds after a refusal that only somebody's hand mends (a wrong key, a wrong name): a reload comes sooner."""

TRYING = 60.0
"""Seconds that one run has for finding out whether a model is back, before another one tries."""

BY_HAND = frozenset({"model-unauthorized", "model-misconfigured"})
NOT_ITS_FAULT = frozenset({"model-context-exceeded", "model-refused", "model-max-steps"})
"""It has answered: the question was the trouble."""

WINDOW = 100
"""Requests that availability and response time are told of."""


class UnknownModel(HolmesError):
    """No configured model bears this name."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"no model {name!r}; configured: {', '.join(known) or 'none'}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One configured model. Those of the same `rank` are equal and share the runs by `weight`."""

    access: ModelAccess
    provider: str
    rank: int
    weight: int = 1
    tools: bool | None = None
    """Whether it calls tools, as its operator says; None: to be found out."""

    @property
    def name(self) -> str:
        return self.access.name


@dataclass(frozen=True, slots=True)
class Standing:
    """How a model is doing, for whoever asks."""

    entry: Entry
    state: str
    """`ready`, `left-alone`, or `unknown` before its first answer."""
    tools: bool | None
    word: str | None
    detail: str
    requests: int
    answered: int
    seconds: float | None
    """On average, of the answered ones."""
    last_age: float | None


@dataclass(slots=True)
class _Known:
    in_a_row: int = 0
    alone_until: float | None = None
    trying_until: float = 0.0
    tools: bool | None = None
    word: str | None = None
    detail: str = ""
    last_at: float | None = None
    recent: deque[float | None] = field(default_factory=lambda: deque(maxlen=WINDOW))
    """Seconds of those answered; None: not."""


class Roster:
    """For one event loop."""

    def __init__(
        self,
        entries: Sequence[Entry],
        *,
        now: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._now, self._draw = now, draw
        self._entries: dict[str, Entry] = {}
        self._known: dict[str, _Known] = {}
        self.replace(entries)

    @classmethod
    def of(cls, *models: ModelAccess) -> Roster:
        """These, in this order, all of them calling tools."""
        named = [one if one.name else one.model_copy(update={"name": one.model}) for one in models]
        return cls(
            [Entry(one, one.model.partition("/")[0], rank, tools=True) for rank, one in enumerate(named)]
        )

    def replace(self, entries: Sequence[Entry]) -> None:
        """Other models from now on. Of one that is asked in the same way as before, all that is known stays."""
        before, known = self._entries, self._known
        self._entries = {one.name: one for one in entries}
        self._known = {
            name: known[name] if name in before and before[name].access == one.access else _Known()
            for name, one in self._entries.items()
        }

    @property
    def names(self) -> list[str]:
        return list(self._entries)

    def __bool__(self) -> bool:
        return bool(self._entries)

    @property
    def first(self) -> ModelAccess:
        """The primary one, however it is doing."""
        return min(self._entries.values(), key=lambda one: one.rank).access

    def chain(self, prefer: str | None = None) -> list[ModelAccess]:
        """All models in the order in which a run is to ask them.

        Raises:
            UnknownModel: `prefer` names none of them.
        """
        if prefer is not None and prefer not in self._entries:
            raise UnknownModel(prefer, self.names)
        ordered = sorted(self._entries.values(), key=lambda one: self._place(one, prefer))
        return [one.access.model_copy(update={"tools": self._tools(one) is not False}) for one in ordered]

    def _place(self, one: Entry, prefer: str | None) -> tuple[bool, bool, int, float]:
        # The largest of u^(1/w) wins with a chance of w among all weights (Efraimidis, Spirakis 2006).
        share = -math.log(max(self._draw(), 1e-12)) / one.weight
        return one.name != prefer, self._left_alone(one.name), one.rank, share

    def _left_alone(self, name: str) -> bool:
        known, now = self._known[name], self._now()
        if known.alone_until is None:
            return False
        if now < max(known.alone_until, known.trying_until):
            return True
        known.trying_until = now + TRYING
        return False

    def _tools(self, one: Entry) -> bool | None:
        return one.tools if one.tools is not None else self._known[one.name].tools

    def heard(self, asked: ModelAsked) -> None:
        """One request's end."""
        known = self._known.get(asked.model)
        if known is None:
            return  # it was configured when the run began
        now = self._now()
        if asked.word is None or asked.word in NOT_ITS_FAULT:
            known.in_a_row, known.alone_until, known.trying_until = 0, None, 0.0
            known.word, known.detail = None, ""
            known.recent.append(asked.seconds)
        else:
            known.in_a_row += 1
            known.word, known.detail = asked.word, asked.detail
            known.recent.append(None)
            alone = self._alone(known, asked)
            if alone is not None:
                known.alone_until, known.trying_until = now + alone, 0.0
        known.last_at = now

    def _alone(self, known: _Known, asked: ModelAsked) -> float | None:
        if asked.word in BY_HAND:
            return ALONE_UNTIL_MENDED
        if asked.word == "model-rate-limited":
            return asked.pause_s if asked.pause_s is not None else ALONE
        if known.in_a_row >= FAILURES_IN_A_ROW or known.alone_until is not None:
            return ALONE
        return None

    def probed(self, name: str, *, tools: bool) -> None:
        if name in self._known:
            self._known[name].tools = tools

    def due(self) -> list[ModelAccess]:
        """Those to be probed: nothing is known of their tools, or their time of being left alone is over."""
        return [one.access for one in self._entries.values() if self._is_due(one)]

    def _is_due(self, one: Entry) -> bool:
        until = self._known[one.name].alone_until
        return self._tools(one) is None if until is None else self._now() >= until

    def standings(self) -> list[Standing]:
        return [self._standing(one) for one in self._entries.values()]

    def _standing(self, one: Entry) -> Standing:
        known, now = self._known[one.name], self._now()
        answered = [seconds for seconds in known.recent if seconds is not None]
        state = "unknown" if known.last_at is None else "ready"
        return Standing(
            entry=one,
            state="left-alone" if known.alone_until is not None else state,
            tools=self._tools(one),
            word=known.word,
            detail=known.detail,
            requests=len(known.recent),
            answered=len(answered),
            seconds=round(sum(answered) / len(answered), 3) if answered else None,
            last_age=None if known.last_at is None else round(now - known.last_at, 1),
        )
