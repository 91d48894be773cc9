"""Takes secrets out of everything that one reader is shown, so that equal ones stay recognisable as equal.

In the place of a secret stands `[SECRET-1f3a9c2e:assignment]`: the same for the same value wherever it occurs, in
whichever process has the key, and of no use to who has not. What it stands for is kept apart (`held`) and put back
nowhere: a command or a claim names the placeholder.

Fails closed: what cannot be looked at, because it is too large or too deep, raises and is not passed on.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Any

from libs.redaction.rules import PERSONAL, RULES, is_said_about, is_stand_in, names_a_secret, replaced

LONGEST = 1024 * 1024
"""Characters of one text; a longer one is not looked at."""

DEEPEST = 40
"""Levels of a value; a deeper one is not looked at."""

SHORTEST = 8
"""Characters of a secret that is looked for wherever it may stand. Shorter ones are words too."""

MOST_HELD = 1_000
"""Secrets that are looked for everywhere."""

_ALL = (*RULES, *PERSONAL)
_KINDS = {"email": "EMAIL"}


class Unredactable(Exception):
    """Too large or too deep to be looked at, so nothing of it may pass."""


class Redactor:
    """Of one run. Threads may share it."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._held: dict[str, str] = {}
        self._known: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Redactor({len(self._held)} held)"

    @property
    def held(self) -> Mapping[str, str]:
        """What each placeholder stands for."""
        return dict(self._held)

    def text(self, text: str) -> str:
        """Raises Unredactable."""
        if len(text) > LONGEST:
            raise Unredactable(f"{len(text)} characters")
        return self._without_known(replaced(self._without_known(text), self._placeholder, _ALL).text)

    def of(self, value: Any, name: str = "") -> Any:
        """A copy of a JSON value; what stands under a secret's name, or in a Secret's data, is gone whole.

        Raises:
            Unredactable
        """
        # Twice: a value that is known for a secret by its second place is taken out of its first one too.
        before = len(self._known)
        found = self._of(value, name, 0)
        return self._of(found, name, 0) if len(self._known) > before else found

    def _of(self, value: Any, name: str, depth: int) -> Any:
        if depth > DEEPEST:
            raise Unredactable(f"more than {DEEPEST} levels")
        if isinstance(value, str):
            if name and names_a_secret(name) and not is_said_about(value):
                return self._placeholder("named", value)
            return self.text(value)
        if isinstance(value, Mapping):
            return self._mapping(value, depth)
        if isinstance(value, list | tuple):
            return [self._of(one, name, depth + 1) for one in value]
        return value

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        secret = value.get("kind") == "Secret"
        # An environment variable is two fields, `name` and `value`: the name decides about the value.
        label = value.get("name") if "value" in value else None
        kept: dict[str, Any] = {}
        for key, one in value.items():
            called = label if key == "value" and isinstance(label, str) else str(key)
            if secret and key in ("data", "stringData") and isinstance(one, Mapping):
                kept[str(key)] = {self.text(str(k)): self._datum(v) for k, v in one.items()}
            else:
                kept[self.text(str(key))] = self._of(one, called, depth + 1)
        return kept

    def _datum(self, value: Any) -> str:
        text = value if isinstance(value, str) else str(value)
        return text if is_stand_in(text) else self._placeholder("kubernetes-secret-data", text)

    def _placeholder(self, rule: str, secret: str) -> str:
        digest = hashlib.blake2b(
            secret.encode(errors="surrogatepass"), key=self._key, digest_size=4
        ).hexdigest()
        made = f"[{_KINDS.get(rule, 'SECRET')}-{digest}:{rule}]"
        if len(self._known) < MOST_HELD:
            # The same value is a secret wherever it stands, whatever rule has found it first.
            made = self._known.get(secret, made)
            self._held.setdefault(made, secret)
            for spelling in _spellings(secret):
                self._known.setdefault(spelling, made)
        return made

    def _without_known(self, text: str) -> str:
        for secret, placeholder in list(self._known.items()):
            if secret in text:
                text = text.replace(secret, placeholder)
        return text


def _spellings(secret: str) -> list[str]:
    """The secret itself and in base64, each where it is long enough to be no common word."""
    raw = secret.encode(errors="surrogatepass")
    spellings = [secret, base64.b64encode(raw).decode()]
    try:
        decoded = base64.b64decode(secret, validate=True).decode()
    except (binascii.Error, ValueError):
        decoded = ""
    if decoded.isprintable():
        spellings.append(decoded.strip())
    return [one for one in spellings if len(one) >= SHORTEST and not (one.isalpha() and one.islower())]
