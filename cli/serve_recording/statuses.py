"""Refusals in the API server's shape and words: a `Status` with a reason that clients know how to treat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

Detail = Mapping[str, Any]


class Refused(Exception):
    """What is answered instead; `message` is for the one who asked."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: Detail | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message
        self.details = details
        self.headers = headers

    def status(self) -> dict[str, Any]:
        """The Status object."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            **({"details": self.details} if self.details is not None else {}),
            "code": self.code,
        }

    def body(self) -> bytes:
        return orjson.dumps(self.status(), option=orjson.OPT_APPEND_NEWLINE)


def not_found(plural: str, group: str, name: str) -> Refused:
    """The kind is known, the object is not there."""
    resource = f"{plural}.{group}" if group else plural
    details = {"name": name, **({"group": group} if group else {}), "kind": plural}
    return Refused(404, "NotFound", f'{resource} "{name}" not found', details=details)


def no_such_path() -> Refused:
    """Nothing is served there: no such group, version or kind was recorded."""
    return Refused(404, "NotFound", "the server could not find the requested resource", details={})


def not_recorded(message: str) -> Refused:
    """The cluster had or may have had it; the recording has not."""
    return Refused(404, "NotFound", message)


def bad_request(message: str) -> Refused:
    return Refused(400, "BadRequest", message)


def invalid(kind: str, name: str, field: str, message: str) -> Refused:
    """A value that cannot be meant, named by its field."""
    return Refused(
        422,
        "Invalid",
        f'{kind} "{name}" is invalid: {field}: {message}',
        details={"name": name, "kind": kind, "causes": [{"reason": "FieldValueInvalid", "message": message, "field": field}]},
    )  # fmt: skip


def invalid_option(field: str, reason: str, message: str) -> Refused:
    """An option of a list that cannot be meant. `reason`: what kind of fault, in the API server's word."""
    cause = {"reason": reason, "message": message, "field": field}
    return Refused(
        422,
        "Invalid",
        f'ListOptions.meta.k8s.io "" is invalid: {field}: {message}',
        details={"group": "meta.k8s.io", "kind": "ListOptions", "causes": [cause]},
    )


def too_new(asked: int, current: int) -> Refused:
    """A version that was not reached when the recording was made, and never will be."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    return Refused(
        504,
        "Timeout",
        f"Timeout: Too large resource version: {asked}, current: {current}",
        details={"causes": [cause], "retryAfterSeconds": 1},
    )


def expired(message: str) -> Refused:
    """A place or a version of another recording, or of before it: clients begin again."""
    return Refused(410, "Expired", message)


def not_acceptable(offered: str) -> Refused:
    return Refused(406, "NotAcceptable", f"only the following media types are accepted: {offered}")


def read_only(what: str) -> Refused:
    """Every write, and everything that would need a living pod."""
    return Refused(
        405,
        "MethodNotAllowed",
        f"this is a recorded cluster, served read-only: {what} is not possible",
        headers=(("allow", "GET, HEAD"),),
    )
