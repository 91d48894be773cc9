"""Course: what is known of a run at the model while it goes on, and what of it outlives its process."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from libs.contracts.evidence import EvidenceItem
from libs.redaction import Redactor
from services.holmesgpt_api.adapters.steps import LastStep
from services.holmesgpt_api.domain.clearing import cleared, genuine
from services.holmesgpt_api.domain.model import Told
from services.holmesgpt_api.domain.so_far import SoFar
from services.holmesgpt_api.domain.verdict import EVIDENCE_AT_MOST as EVIDENCE_TOLD
from services.holmesgpt_api.domain.verdict import ModelRefusal, ModelUse, ToolUse
from services.holmesgpt_api.engine.messages import (
    SDK,
    Concluded,
    ModelAsked,
    Opinion,
    Resume,
    ToolCalled,
    Usage,
)
from services.holmesgpt_api.engine.packing import pack, unpack
from services.holmesgpt_api.engine.wordings import PROMPT_VERSION

TOOLS_KEPT = 60
REFUSALS_KEPT = 20
FACTS_KEPT = 2_000
"""Of one run; a child that sends more is not believed to have shown them."""

COURSE_AT_MOST = 4 * 1024 * 1024
"""Bytes, packed. A run that has seen more is not recorded any further; it ends, or goes on from an earlier step."""

EVIDENCE_AT_MOST = 1024 * 1024
"""Bytes of evidence handed to a process that goes on; it names them to the model in one line each."""


@dataclass
class Course:
    models: dict[str, str]
    """Name to what the library calls it, in the order in which they are asked."""
    began: float
    redactor: Redactor
    prompt: str = PROMPT_VERSION
    """Of our words, the version that the model is asked under."""
    usage: Usage = field(default_factory=Usage)
    steps: int = 0
    calls: int = 0
    dropped: int = 0
    tools: list[ToolUse] = field(default_factory=list)
    evidence: dict[str, EvidenceItem] = field(default_factory=dict)
    answered_by: list[str] = field(default_factory=list)
    refusals: list[ModelRefusal] = field(default_factory=list)
    before: float = 0.0
    """Seconds spent by processes that were killed."""
    resumed: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    """Foreign systems answer while steps are packed in threads of their own."""

    @property
    def seconds(self) -> float:
        return self.before + time.monotonic() - self.began

    @property
    def model(self) -> str:
        """The one that answered last; before any has, the first one in line."""
        name = self.answered_by[-1] if self.answered_by else next(iter(self.models))
        return self.models.get(name, name)

    def asked(self, one: ModelAsked) -> None:
        if one.word is None:
            self.answered_by.append(one.model)
        elif len(self.refusals) < REFUSALS_KEPT:
            self.refusals.append(ModelRefusal(model=one.model, word=one.word, detail=one.detail))

    def use(self, *, repaired: bool = False) -> ModelUse:
        return ModelUse(
            model=self.model,
            sdk=SDK,
            prompt=self.prompt,
            steps=self.steps,
            requests=self.usage.requests,
            prompt_tokens=self.usage.prompt_tokens,
            completion_tokens=self.usage.completion_tokens,
            cost_usd=self.usage.cost_usd,
            seconds=round(self.seconds, 3),
            repaired=repaired,
            dropped=self.dropped,
            resumed=self.resumed,
            tools=self.tools,
            answered_by=self.answered_by,
            refusals=self.refusals,
        )

    def after(self, died: Course) -> None:
        """It goes on where this one's process died, which has cost more than was stored by then."""
        self.usage, self.refusals, self.answered_by = died.usage, died.refusals, died.answered_by
        self.before = max(self.before, died.seconds)
        self.resumed = max(self.resumed, died.resumed + 1)

    def abroad(self, use: ToolUse, fact: EvidenceItem | None) -> None:
        """A foreign system has answered, here; what of it is told and kept holds no secrets any more."""
        with self._lock:
            self.calls += 1
            if len(self.tools) < TOOLS_KEPT:
                self.tools.append(use)
            if fact is not None and len(self.evidence) < FACTS_KEPT:
                self.evidence.setdefault(fact.id, fact)

    def called(self, tool: ToolCalled) -> None:
        with self._lock:
            self._called(tool)

    def _called(self, tool: ToolCalled) -> None:
        self.calls += 1
        if len(self.tools) < TOOLS_KEPT:
            arguments = self.redactor.of({name: str(value) for name, value in tool.arguments.items()})
            self.tools.append(
                ToolUse(
                    tool=tool.tool,
                    arguments=arguments,
                    ok=tool.ok,
                    detail=self.redactor.text(tool.detail),
                    seconds=tool.seconds,
                )
            )
        kept, dropped = genuine(tool.evidence)
        self.dropped += dropped
        for item in kept:
            if len(self.evidence) < FACTS_KEPT:
                self.evidence.setdefault(item.id, cleared(item, self.redactor))

    def told(self, concluded: Concluded) -> Told:
        opinion = Opinion.model_validate(self.redactor.of(concluded.opinion.model_dump(mode="json")))
        return Told(opinion, list(self.evidence.values()), self.use(repaired=concluded.repaired))

    def packed(self) -> bytes:
        """What a later process is to know. Raises TooLarge."""
        with self._lock:
            known = self._known()
        return pack(known, at_most=COURSE_AT_MOST)

    def _known(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "prompt": self.prompt,
            "sdk": SDK,
            "usage": self.usage.model_dump(mode="json"),
            "calls": self.calls,
            "dropped": self.dropped,
            "answered_by": self.answered_by,
            "refusals": [one.model_dump(mode="json") for one in self.refusals],
            "tools": [one.model_dump(mode="json") for one in self.tools],
            "evidence": [one.model_dump(mode="json") for one in self.evidence.values()],
            "seconds": round(self.seconds, 3),
            "resumed": self.resumed,
        }


def taken_up(
    models: dict[str, str], redactor: Redactor, last: LastStep | None, *, prompt: str = PROMPT_VERSION
) -> Course:
    """The course of a run that begins, or goes on from its last step."""
    if last is None:
        return Course(models, time.monotonic(), redactor, prompt)
    known = unpack(last.course)
    evidence = [EvidenceItem.model_validate(one) for one in known["evidence"]]
    return Course(
        models,
        time.monotonic(),
        redactor,
        prompt,
        usage=Usage.model_validate(known["usage"]),
        steps=last.number,
        calls=known["calls"],
        dropped=known["dropped"],
        answered_by=known["answered_by"],
        refusals=[ModelRefusal.model_validate(one) for one in known["refusals"]],
        tools=[ToolUse.model_validate(one) for one in known["tools"]],
        evidence={one.id: one for one in evidence},
        before=known["seconds"],
        resumed=known["resumed"] + 1,
    )


def evidence_in(packed: bytes, at_most: int) -> list[EvidenceItem]:
    """What had been seen by a step, from the first on. Raises ValueError as `so_far` does."""
    known = unpack(packed, at_most=COURSE_AT_MOST)
    try:
        return [EvidenceItem.model_validate(one) for one in known["evidence"][:at_most]]
    except (KeyError, TypeError) as error:
        raise ValueError(f"not as it is packed here: {error}") from error


def so_far(number: int, packed: bytes) -> SoFar:
    """What has been seen and spent by a step, for a reader: the latest evidence of a verdict's number.

    Raises:
        ValueError: packed by another release, or it unfolds to more than `COURSE_AT_MOST`.
    """
    known = unpack(packed, at_most=COURSE_AT_MOST)
    try:
        use = ModelUse(
            model=known["model"],
            sdk=known["sdk"],
            prompt=known["prompt"],
            steps=number,
            **{
                name: known["usage"][name]
                for name in ("requests", "prompt_tokens", "completion_tokens", "cost_usd")
            },
            seconds=known["seconds"],
            dropped=known["dropped"],
            resumed=known["resumed"],
            tools=known["tools"],
            answered_by=known["answered_by"],
            refusals=known["refusals"],
        )
        evidence = [EvidenceItem.model_validate(one) for one in known["evidence"][-EVIDENCE_TOLD:]]
    except (KeyError, TypeError) as error:
        raise ValueError(f"not as it is packed here: {error}") from error
    return SoFar(evidence, use)


def resume(last: LastStep, course: Course) -> Resume:
    """What the process that goes on is handed."""
    return Resume(
        number=last.number,
        phase=last.phase,
        messages=last.messages,
        answer=last.answer,
        evidence=fitting(list(course.evidence.values()), EVIDENCE_AT_MOST),
        calls=course.calls,
    )


def fitting(items: list[EvidenceItem], room: int) -> list[EvidenceItem]:
    """As many of them, from the first on, as there is room for."""
    kept = []
    for item in items:
        room -= len(item.model_dump_json())
        if room < 0:
            break
        kept.append(item)
    return kept
