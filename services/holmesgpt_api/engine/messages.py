"""What service and engine say to each other. Contracts only: importable in both environments.

Two conversations: the service and the zygote (start and end of children), the service and one child (its runs, one
after another).
"""

from __future__ import annotations

import secrets
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from libs.contracts.causes import Cause
from libs.contracts.evidence import EvidenceItem
from libs.contracts.target import Target
from services.holmesgpt_api.engine.foreign import CustomTool, ToolAnswered, ToolAsked
from services.holmesgpt_api.engine.wordings import PROMPT_VERSION

PROTOCOL = 7
"""Raised with every change here: the two sides may come from different checkouts for a moment."""

SDK = "0.45.0"
"""The HolmesGPT this release was tested with; the lock file pins the same one. Another one is refused."""

TEXT = 4_000
"""Characters of one text a model writes. Longer ones are no summary."""

SAID = 500
"""Characters of a detail about what went wrong."""

EVIDENCE_AT_MOST = 200


class Message(BaseModel):
    """Ours on both sides, so nothing unknown is accepted."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Confinement(Message):
    """How the engine is kept in; an argument of its program."""

    mode: Literal["auto", "required", "off"] = "off"
    ports: list[int] = Field(default_factory=list, description="further TCP ports that runs may connect to")


# ── service and zygote ──────────────────────────────────────────────────────────────────────────────────────


class Hello(Message):
    """The zygote's first word, before it imports anything large."""

    type: Literal["hello"] = "hello"
    protocol: int
    sdk: str = Field(description="version of HolmesGPT found; empty: none")
    pid: int


class Ready(Message):
    """HolmesGPT is imported and its tools are built; runs can be started."""

    type: Literal["ready"] = "ready"
    took_s: float
    rss_kb: int
    confined: int = Field(
        default=0, description="version of the kernel's Landlock that keeps it in; 0: nothing does"
    )


class Broken(Message):
    """HolmesGPT could not be imported, or not in the way that is wanted."""

    type: Literal["broken"] = "broken"
    detail: str
    remedy: str = Field(default="", description="empty: it is installed again")


class Start(Message):
    """Fork a child. Its end of the socket pair travels with the frame."""

    type: Literal["start"] = "start"
    child: str


class Kill(Message):
    """End this child now (SIGKILL). No child: nothing happens."""

    type: Literal["kill"] = "kill"
    child: str


class Started(Message):
    type: Literal["started"] = "started"
    child: str
    pid: int


class Ended(Message):
    """The child is gone and has been reaped; or none could be forked (71, EX_OSERR)."""

    type: Literal["ended"] = "ended"
    child: str
    code: int = Field(description="exit code; minus the signal's number when a signal ended it")
    max_rss_kb: int = 0


# ── service and child: the request ──────────────────────────────────────────────────────────────────────────


class ModelAccess(Message):
    """Which model, and how it may be asked."""

    name: str = Field(default="", description="as the operator calls it")
    tools: bool = Field(
        default=True, description="calls tools; one that does not is asked only what needs none"
    )
    model: str = Field(description="as litellm names it: `provider/model`")
    api_base: str | None = None
    api_version: str | None = None
    api_key: str = Field(repr=False)
    context_tokens: int = Field(gt=0)
    output_tokens: int = Field(gt=0)
    request_timeout_s: float = Field(gt=0)
    attempts: int = Field(ge=1, description="HTTP requests for one answer, the first one included")
    temperature: float | None = 0.0
    input_price: float | None = Field(default=None, ge=0, description="USD per million tokens")
    output_price: float | None = Field(default=None, ge=0, description="USD per million tokens")


class ContextAccess(Message):
    """Where the tools ask, and as whom: the token carries caller, tenant, namespaces and run."""

    url: str
    token: str | None = Field(default=None, repr=False)
    timeout_s: float = Field(gt=0)
    authorities: str | None = Field(default=None, repr=False)
    """Certificates (PEM) to believe where the URL is `https`; None: the public ones."""
    cluster: str = "local"
    priority: str | None = None
    """The investigation's: where many ask, it decides whose turn it is."""
    namespaces: list[str] = Field(default_factory=lambda: ["*"])
    """What the asker may read (globs). The Context API decides; what it would refuse is not even asked."""


class Alert(Message):
    """What somebody else wrote about the incident. Data, never instructions."""

    name: str
    priority: str
    namespace: str | None = None
    starts_at: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    context: dict[str, Any] = Field(default_factory=dict, description="what the caller knows besides")


class HeadStart(Message):
    """What triage has found: the model begins with it, and may come to another conclusion."""

    target: Target | None
    summary: str
    causes: list[Cause]
    evidence: list[EvidenceItem]
    not_looked_at: list[str]
    history: list[dict[str, Any]] = Field(default_factory=list, description="of the same alert, before")


class Usage(Message):
    """What the run has cost so far; sent after every answer of the model, so that none of it is lost."""

    type: Literal["usage"] = "usage"
    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0


Phase = Literal["talk", "document"]
"""HolmesGPT's loop, then the conclusion as a document."""

MESSAGES_AT_MOST, ANSWER_AT_MOST = 1024 * 1024, 128 * 1024
"""Bytes of a step, packed: a few megabytes of text. A larger one is not recorded; the one before stays the last."""


class Packed(Message):
    """Carries packed bytes, which only the engine unpacks."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_bytes="base64", val_json_bytes="base64")


class Resume(Packed):
    """The last recorded step of a run that is taken up again, and what it had seen by then."""

    number: int = Field(ge=1)
    phase: Phase
    messages: bytes = Field(repr=False)
    answer: bytes | None = Field(default=None, repr=False)
    evidence: list[EvidenceItem] = Field(default_factory=list)
    calls: int = Field(default=0, ge=0, description="questions the tools have answered")


Reach = Annotated[
    str, Field(max_length=128, description="a child serves runs of one reach; empty: none after it")
]
"""Digest of what a run may see."""


class RunRequest(Packed):
    type: Literal["request"] = "request"
    run: str
    reach: Reach = ""
    redaction_key: str = Field(
        default_factory=lambda: secrets.token_hex(16),
        repr=False,
        pattern="^[0-9a-f]{32}$",
        description="with it the same secret has the same placeholder on both sides; it ends with the run",
    )
    seconds: float = Field(gt=0, description="until the run's end; past it the child is killed")
    max_steps: int = Field(ge=2)
    frozen: bool = Field(default=False, description="a replay: tools show nothing but the head start")
    prompt: str = Field(default=PROMPT_VERSION, description="version of our words it is asked under")
    alert: Alert
    head_start: HeadStart
    model: ModelAccess
    fallbacks: list[ModelAccess] = Field(
        default_factory=list, description="asked in this order where `model` does not answer"
    )
    metered: bool = Field(default=False, description="each step waits for the service's leave")
    tools: list[str] | None = Field(default=None, description="names of those it is given; null: all")
    custom: list[CustomTool] = Field(default_factory=list, description="besides, of foreign systems")
    context: ContextAccess
    usage: Usage = Field(default_factory=Usage, description="of its processes that died")
    resume: Resume | None = None


class Recorded(Message):
    """The service has dealt with the last checkpoint: it is stored, or cannot be and the run goes on without."""

    type: Literal["recorded"] = "recorded"
    number: int


class Exchange(Message):
    """An earlier question of the same chat, and what was answered."""

    question: str
    answer: str


class TalkRequest(Packed):
    """One question of a chat, instead of an investigation."""

    type: Literal["talk"] = "talk"
    run: str
    reach: Reach = ""
    redaction_key: str = Field(
        default_factory=lambda: secrets.token_hex(16),
        repr=False,
        pattern="^[0-9a-f]{32}$",
        description="with it the same secret has the same placeholder on both sides; it ends with the run",
    )
    seconds: float = Field(gt=0, description="until the run's end; past it the child is killed")
    max_steps: int = Field(ge=2)
    question: str
    namespace: str | None = None
    earlier: list[Exchange] = Field(default_factory=list, description="oldest first")
    folded: list[str] = Field(default_factory=list, description="still earlier ones, as a line each")
    left_out: int = 0
    head_start: HeadStart | None = None
    model: ModelAccess
    fallbacks: list[ModelAccess] = Field(
        default_factory=list, description="asked in this order where `model` does not answer"
    )
    metered: bool = Field(default=False, description="each step waits for the service's leave")
    context: ContextAccess
    usage: Usage = Field(default_factory=Usage, description="of its processes that died")
    resume: Resume | None = None


class ProbeRequest(Message):
    """Find out whether a model answers, and whether it calls tools."""

    type: Literal["probe"] = "probe"
    seconds: float = Field(gt=0)
    model: ModelAccess


class Granted(Message):
    """Leave for a step of a metered run. There is no refusal: a run that may not go on is ended."""

    type: Literal["granted"] = "granted"
    step: int


# ── service and child: what comes back ──────────────────────────────────────────────────────────────────────


class Written(BaseModel):
    """A part of what a model writes: it may add fields of its own, which count for nothing."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class WrittenCause(Written):
    target: str = Field(max_length=400, description="the object at fault, as Kind/namespace/name")
    reason: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9]{2,79}$", description="CamelCase code of the fault")
    text: str = Field(min_length=1, max_length=TEXT, description="what is wrong, and why it makes the alert")
    confidence: float = Field(ge=0, le=1)
    evidence_ids: list[str] = Field(max_length=50)


class WrittenClaim(Written):
    text: str = Field(min_length=1, max_length=TEXT)
    evidence_ids: list[str] = Field(default_factory=list, max_length=50)


class WrittenAdvice(Written):
    title: str = Field(min_length=1, max_length=300)
    description: str = Field(default="", max_length=TEXT)
    command: str | None = Field(default=None, max_length=1000)
    risk: str = Field(default="", max_length=1000)


class Opinion(Written):
    """The model's conclusion. Whether its claims stand is checked by the service."""

    summary: str = Field(min_length=1, max_length=TEXT, description="two or three sentences for an engineer")
    cause: WrittenCause | None = Field(description="null when the evidence does not tell")
    claims: list[WrittenClaim] = Field(default_factory=list, max_length=20)
    recommendations: list[WrittenAdvice] = Field(default_factory=list, max_length=5)
    agrees_with_triage: bool
    disagreement: str = Field(default="", max_length=TEXT, description="where triage is wrong, and why")


Word = Literal[
    "model-unauthorized",
    "model-rate-limited",
    "model-error",
    "model-refused",
    "model-unreachable",
    "model-timeout",
    "model-garbage",
    "model-context-exceeded",
    "model-max-steps",
    "model-misconfigured",
    "model-without-tools",
    "redaction-failed",
    "engine-failed",
]


class Step(Message):
    """The model is asked for its next move; of a metered run, once the service has given leave."""

    type: Literal["step"] = "step"
    number: int
    tokens: int = Field(default=0, description="what it may take at most, about")
    cost_usd: float = Field(default=0.0, description="the same in money, at the configured price")


class ModelAsked(Message):
    """One request to one model, and what came of it."""

    type: Literal["asked"] = "asked"
    step: int
    model: str = Field(description="its name")
    word: Word | None = Field(default=None, description="null: it has answered")
    detail: str = Field(default="", max_length=SAID)
    pause_s: float | None = Field(default=None, description="how long it asks to be left alone")
    seconds: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0


class Probed(Message):
    """A probe was answered. `tools`: whether by calling the tool it was told to call."""

    type: Literal["probed"] = "probed"
    tools: bool


class Checkpoint(Packed):
    """What the run can go on from: `messages` before the model is asked, `answer` once it has answered them.

    The child waits for `Recorded`.
    """

    type: Literal["checkpoint"] = "checkpoint"
    number: int = Field(ge=1)
    phase: Phase
    messages: bytes | None = Field(default=None, repr=False, max_length=MESSAGES_AT_MOST)
    answer: bytes | None = Field(default=None, repr=False, max_length=ANSWER_AT_MOST)


class ToolCalled(Message):
    """A tool has answered. `evidence`: what it let the model see, in full."""

    type: Literal["tool"] = "tool"
    tool: str
    arguments: dict[str, Any]
    ok: bool
    detail: str = ""
    seconds: float = 0.0
    evidence: list[EvidenceItem] = Field(default_factory=list)


class Concluded(Message):
    type: Literal["concluded"] = "concluded"
    opinion: Opinion
    repaired: bool = Field(default=False, description="its first answer was no valid document")


class Answered(Message):
    """The answer to a question, in prose. Whether it stands on what it cites is checked by the service."""

    type: Literal["answered"] = "answered"
    text: str
    cut_off: bool = Field(default=False, description="the model had come to the limit of an answer's length")


class Failed(Message):
    """The child came to no conclusion, and says why."""

    type: Literal["failed"] = "failed"
    word: Word
    detail: str = Field(max_length=SAID)


class Rested(Message):
    """The run is over and nothing of it is left; the child can be given another one of the same reach."""

    type: Literal["rested"] = "rested"
    runs: int = Field(ge=1, description="served so far")
    own_kb: int = Field(ge=0, description="memory of its own, beyond what it shares with the zygote")
    threads: int = Field(default=0, ge=0, description="left behind by the run")


ToZygote = Annotated[Start | Kill, Field(discriminator="type")]
FromZygote = Annotated[Hello | Ready | Broken | Started | Ended, Field(discriminator="type")]
ToEar = Annotated[
    RunRequest | TalkRequest | ProbeRequest | Granted | Recorded | ToolAnswered, Field(discriminator="type")
]
Heard = (
    Step
    | Checkpoint
    | ToolCalled
    | ToolAsked
    | ModelAsked
    | Usage
    | Probed
    | Concluded
    | Answered
    | Failed
    | Rested
)
FromChild = Annotated[Heard, Field(discriminator="type")]

TO_ZYGOTE: TypeAdapter[Start | Kill] = TypeAdapter(ToZygote)
FROM_ZYGOTE: TypeAdapter[Hello | Ready | Broken | Started | Ended] = TypeAdapter(FromZygote)
TO_EAR: TypeAdapter[RunRequest | TalkRequest | ProbeRequest | Granted | Recorded | ToolAnswered] = (
    TypeAdapter(ToEar)
)
FROM_CHILD: TypeAdapter[Heard] = TypeAdapter(FromChild)
