"""What can go wrong with a credential.

    AuthError
    ├── NotAuthenticated     we do not know who is calling (`reason` says why)
    ├── NotAllowed           we know, and they may not
    ├── AuthNotConfigured    a service was started without a way to know anybody
    └── UnreadableKeys       the keys file is missing or says something we refuse

None of them carries a secret or a token, so all of them may be logged.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path


class AuthError(Exception):
    """Base of this package's errors."""


class Refusal(StrEnum):
    """Why a caller was not recognised. A closed set: it becomes a metric label."""

    no_credentials = "no-credentials"
    two_credentials = "two-credentials"
    malformed = "malformed-credentials"
    unsupported_scheme = "unsupported-scheme"
    unknown_api_key = "unknown-api-key"
    api_key_expired = "api-key-expired"
    wrong_password = "wrong-password"  # noqa: S105
    unknown_kid = "unknown-kid"
    wrong_algorithm = "wrong-algorithm"
    key_retired = "key-retired"
    bad_signature = "bad-signature"
    bad_claims = "bad-claims"
    wrong_issuer = "wrong-issuer"
    wrong_audience = "wrong-audience"
    expired = "expired"
    not_yet_valid = "not-yet-valid"
    revoked = "revoked"


_SAID_ALOUD = {
    Refusal.expired: "the token has expired",
    Refusal.not_yet_valid: "the token is not valid yet",
    Refusal.two_credentials: "send Authorization or X-API-Key, not both",
    Refusal.unsupported_scheme: "use Bearer or Basic",
}
"""What a caller may be told beyond "no": nothing that helps to guess a credential."""


class NotAuthenticated(AuthError):
    """The caller is unknown. `reason` is for logs and metrics, `hint` and `challenge` for the caller."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason.value)
        self.reason = reason

    @property
    def hint(self) -> str:
        if self.reason is Refusal.no_credentials:
            return "send `Authorization: Bearer <token or API key>`"
        return _SAID_ALOUD.get(self.reason, "the credential was not accepted")

    @property
    def challenge(self) -> str:
        """The value of `WWW-Authenticate` (RFC 6750, section 3)."""
        if self.reason is Refusal.no_credentials:
            return 'Bearer realm="kubernaut"'
        return f'Bearer realm="kubernaut", error="invalid_token", error_description="{self.hint}"'


class NotAllowed(AuthError):
    """The caller is known and lacks something; `needs` names it, e.g. `view:alerts`."""

    def __init__(self, needs: str) -> None:
        super().__init__(f"needs {needs}")
        self.needs = needs

    @property
    def hint(self) -> str:
        return f"the caller lacks {self.needs}"

    @property
    def challenge(self) -> str:
        return 'Bearer realm="kubernaut", error="insufficient_scope"'


class AuthNotConfigured(AuthError):
    """Neither a keys file nor a trusted network is configured: nobody could be recognised."""

    def __init__(self) -> None:
        super().__init__(
            "no way to recognise a caller: set AUTH_KEYS_FILE to a keys file (a mounted secret), "
            'or TRUSTED_NETWORKS to JSON like {"10.0.0.0/8": {"principal": "internal", "roles": ["viewer"]}}'
        )


class UnreadableKeys(AuthError):
    """The keys file cannot be used; `reason` names the entry and the remedy, never its content."""

    def __init__(self, path: Path | None, reason: str) -> None:
        super().__init__(f"{path}: {reason}" if path else reason)
        self.path, self.reason = path, reason
