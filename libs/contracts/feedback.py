"""Feedback on the wire: what people say of an investigation's result."""

from __future__ import annotations

from pydantic import Field, model_validator

from libs.contracts.base import Contract
from libs.contracts.target import Target


class FeedbackRequest(Contract):
    """What a caller thinks of a result; at least one of these. Given again it replaces what was given before."""

    helpful: bool | None = None
    correct_cause: bool | None = Field(default=None, description="whether the cause named was the cause")
    actual_cause: Target | None = Field(default=None, description="the object that really was at fault")
    comment: str | None = Field(default=None, min_length=1, max_length=2000)

    @model_validator(mode="after")
    def _says_something(self) -> FeedbackRequest:
        if self.helpful is None and self.correct_cause is None and not self.actual_cause and not self.comment:
            raise ValueError("it says nothing: want helpful, correct_cause, actual_cause or comment")
        if self.correct_cause and self.actual_cause is not None:
            raise ValueError("the cause was correct and was another one: leave one of the two out")
        # PostgreSQL stores no NUL and UTF-8 no half of a surrogate pair; nobody means one.
        if self.comment and (
            "\0" in self.comment or any("\ud800" <= sign <= "\udfff" for sign in self.comment)
        ):
            raise ValueError("comment contains a NUL character or an unpaired surrogate; leave it out")
        return self


class FeedbackCounts(Contract):
    """How many callers said so."""

    given: int = 0
    helpful: int = 0
    not_helpful: int = 0
    correct_cause: int = 0
    wrong_cause: int = 0


class FeedbackReceipt(Contract):
    investigation_id: str
    replaced: bool = Field(description="this caller had given feedback before")
    feedback: FeedbackCounts
