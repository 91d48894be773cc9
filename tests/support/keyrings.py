"""Keys files for tests, with random keys."""

from __future__ import annotations

import json
import secrets
from typing import Any

from libs.auth.keys import KeyRing
from libs.auth.new_keys import stored_form

PEPPER = secrets.token_urlsafe(32)


def document(**parts: Any) -> bytes:
    return json.dumps({"pepper": PEPPER, **parts}).encode()


def ring(**parts: Any) -> KeyRing:
    return KeyRing.parse(document(**parts))


def api_key_entry(plain: str, **fields: Any) -> dict[str, Any]:
    return {"id": "ci", "hmac": stored_form(plain, pepper=PEPPER), "roles": ["viewer"], **fields}


def basic_entry(password: str, **fields: Any) -> dict[str, Any]:
    return {
        "user": "alertmanager",
        "hmac": stored_form(password, pepper=PEPPER),
        "roles": ["ingest"],
        **fields,
    }


def hs256_entry(**fields: Any) -> dict[str, Any]:
    return {
        "kid": "services-1",
        "alg": "HS256",
        "key": secrets.token_urlsafe(32),
        "issuer": "kubernaut",
        "audience": "kubernaut",
        **fields,
    }
