"""A keys file with random keys, for a first start. Called by the command line, never by a service."""

from __future__ import annotations

import hmac
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile

import yaml

from libs.auth.permissions import Role

_HEADER = """\
# Keys of this installation, made at random. Keep it secret; the services re-read it when it changes.
# The plain API keys are not in here: only their HMAC under `pepper` is.
"""


@dataclass(frozen=True, slots=True)
class NewKeys:
    """The plain credentials of a new file; they can never be read from it again."""

    operator_key: str = field(repr=False)
    """API key for a person: `Authorization: Bearer …` or `X-API-Key: …`."""
    alertmanager_token: str = field(repr=False)
    """For Alertmanager's `authorization.credentials`; may deliver alerts and nothing else."""
    document: str = field(repr=False)
    """The file's text, for whoever stores it elsewhere (a Kubernetes Secret)."""


def new_keys_file(path: Path) -> NewKeys:
    """Write a keys file (mode 0600, all or nothing; an existing one is replaced) and return its credentials."""
    keys = new_keys()
    _write_secretly(path, keys.document)
    return keys


def new_keys() -> NewKeys:
    """A document with a key for service tokens, an operator's API key and Alertmanager's."""
    pepper = secrets.token_urlsafe(32)
    operator, alertmanager = new_api_key(), new_api_key()
    document = {
        "pepper": pepper,
        "jwt": [
            {
                "kid": f"services-{secrets.token_hex(4)}",
                "alg": "HS256",
                "key": secrets.token_urlsafe(32),
                "issuer": "kubernaut",
                "audience": "kubernaut",
            }
        ],
        "api_keys": [
            {"id": "operator", "hmac": stored_form(operator, pepper=pepper), "roles": [Role.operator.value]},
            {
                "id": "alertmanager",
                "hmac": stored_form(alertmanager, pepper=pepper),
                "roles": [Role.ingest.value],
            },
        ],
    }
    return NewKeys(operator, alertmanager, _HEADER + yaml.safe_dump(document, sort_keys=False))


def new_api_key() -> str:
    """256 random bits, marked so that a secret scanner can find one that leaked."""
    return f"kn_{secrets.token_urlsafe(32)}"


def stored_form(secret: str, *, pepper: str) -> str:
    """What the keys file holds for an API key or a password."""
    return hmac.digest(pepper.encode(), secret.encode(), "sha256").hex()


def _write_secretly(path: Path, text: str) -> None:
    # NamedTemporaryFile creates with 0600 in the same folder, so no reader ever sees half a file or a wide mode.
    with NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise
