"""Where a request belongs that came here and is the platform service's. Pure."""

from __future__ import annotations

from urllib.parse import quote

from services.holmesgpt_api.domain.errors import PlatformsOwn

_IN_PATH = "/%~!$&'()*+,;=:@"
_IN_QUERY = _IN_PATH + "?[]"
"""Left as they came; everything else is encoded, so that nothing of a request can end the header it stands in."""


def elsewhere(platform: str | None, path: bytes, query: bytes) -> str:
    """The same path and query at the platform service.

    Args:
        platform: its base URL; nothing else says which host is named, least of all the request.
        path, query: as they were sent, still encoded; the path begins with a slash.

    Raises:
        PlatformsOwn: it is not known where that service is.
    """
    if platform is None:
        raise PlatformsOwn
    place = platform.rstrip("/") + quote(path, safe=_IN_PATH)
    return f"{place}?{quote(query, safe=_IN_QUERY)}" if query else place
