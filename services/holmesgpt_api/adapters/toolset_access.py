"""From an operator's documents and settings to toolsets that can be asked: origins checked, credentials read."""

from __future__ import annotations

from services.holmesgpt_api.adapters.config_file import BadConfiguration
from services.holmesgpt_api.domain.custom.bound import Bound, bound
from services.holmesgpt_api.domain.custom.document import Credential, Documents
from services.holmesgpt_api.domain.custom.errors import BadToolset
from services.holmesgpt_api.domain.custom.origin import Origin, origin
from services.holmesgpt_api.settings import Settings

LONGEST = 8_192
"""Characters of a credential; servers take no longer header."""


def origins(settings: Settings) -> frozenset[Origin]:
    """Raises BadConfiguration: a text in the list is no origin."""
    try:
        return frozenset(origin(one) for one in settings.toolset_origins)
    except BadToolset as error:
        raise BadConfiguration(f"HOLMESGPT_TOOLSET_ORIGINS: {error}") from None


def bind(settings: Settings, documents: Documents) -> list[Bound]:
    """Raises BadConfiguration: an origin is none, or a credential cannot be had."""
    allowed = origins(settings)
    made = []
    for one in documents.custom:
        headers = tuple(one.headers.items())
        # The credential of one that may not be asked is not even read.
        if one.credential is not None and one.where in allowed:
            headers += ((one.credential.header, _value(settings, one.name, one.credential)),)
        made.append(bound(one, allowed, headers))
    return made


def _value(settings: Settings, name: str, credential: Credential) -> str:
    token = _token(settings, name, credential)
    if not token or len(token) > LONGEST or not token.isascii() or not token.isprintable():
        raise BadConfiguration(f"toolset {name}: its credential is empty, or none that a header can carry")
    return f"{credential.scheme} {token}" if credential.scheme else token


def _token(settings: Settings, name: str, credential: Credential) -> str:
    if credential.token_file is not None:
        try:
            return credential.token_file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "no text"
            raise BadConfiguration(f"toolset {name}: token_file cannot be read: {reason}") from None
    if credential.token_env is not None:
        found = settings.variable(credential.token_env)
        if found is None:
            raise BadConfiguration(f"toolset {name}: the environment has no {credential.token_env}")
        return found
    return credential.token or ""
