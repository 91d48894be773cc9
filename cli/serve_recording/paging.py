"""Pages of a list: where one ends and the next begins. Pure.

A place is a position in the order of the list, not a number of objects, and is bound to the recording: objects never
change, so the pages of one list fit together whatever is asked between them.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NoBase64

import orjson

from cli.serve_recording.statuses import bad_request, expired

Place = tuple[str, str]
"""Namespace (empty for none) and name of the last object of the page before."""

TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You must start a new list "
    "without the continue parameter."
)


def encode(place: Place, recording: str) -> str:
    """The `continue` of a page that ends at `place`."""
    return urlsafe_b64encode(orjson.dumps({"v": 1, "of": recording, "after": place})).rstrip(b"=").decode()


def decode(token: str, recording: str) -> Place:
    """The place a page begins after.

    Raises:
        Refused: 400 it is none of ours, 410 it is of another recording.
    """
    try:
        read = orjson.loads(urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4)))
    except (NoBase64, UnicodeEncodeError, orjson.JSONDecodeError, ValueError):
        raise bad_request("invalid continue token: continue key is not valid") from None
    match read:
        case {"v": 1, "of": str(of), "after": [str(namespace), str(name)]}:
            if of != recording:
                raise expired(TOO_OLD)
            return namespace, name
    raise bad_request(
        "invalid continue token: continue key is not valid: server does not recognize this encoded version"
    )
