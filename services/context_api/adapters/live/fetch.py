"""Read the whole answer of a source beside the API server: bounded, and what goes wrong in the snapshot's words."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager

import httpx

from services.context_api.adapters.live.errors import ApiFailure, Why


async def body_of(
    answering: AbstractAsyncContextManager[httpx.Response],
    most: int,
    came: Callable[[int], None],
    *,
    telling: Collection[int] = (200,),
) -> bytes:
    """The body of an answer that is still to come.

    Args:
        most: bytes; a longer body is read no further.
        came: told of the bytes as they come.
        telling: statuses whose body says something.

    Raises:
        ApiFailure: it did not come, not in time, not whole, or with another status.
    """
    parts = bytearray()
    try:
        async with answering as answer:
            if answer.status_code not in telling:
                # Its words may quote the query; the status says what kind of failure it is.
                raise ApiFailure(why_of(answer.status_code), f"HTTP {answer.status_code}")
            async for chunk in answer.aiter_bytes():
                came(len(chunk))
                parts += chunk
                if len(parts) > most:
                    raise ApiFailure(Why.large, f"is over the limit of {most / 2**20:g} MiB for one answer")
    except httpx.TimeoutException as error:
        raise ApiFailure(Why.slow, "no answer in time") from error
    except httpx.HTTPError as error:
        # Its text may hold the URL, and the URL a password.
        raise ApiFailure(Why.unreachable, f"the connection broke ({type(error).__name__})") from error
    return bytes(parts)


def why_of(status: int) -> Why:
    """What a status that is no answer means."""
    match status:
        case 401:
            return Why.unauthorized
        case 403:
            return Why.forbidden
        case 404 | 405:
            return Why.missing
        case 429 | 503:
            return Why.overloaded
        case _ if status >= 500:
            return Why.broken
        case _:
            return Why.refused
