"""The keys file: what it may contain, parsed once into a `KeyRing`.

YAML or JSON:

    pepper: <random text, at least 32 characters; every HMAC below is keyed with it>
    jwt:
      - {kid: services-1, alg: HS256, key: <at least 32 bytes, base64url>, issuer: kubernaut, audience: kubernaut}
      - {kid: idp-7, alg: ES256, public_key: <PEM>, issuer: https://id.example.org, audience: kubernaut}
    api_keys:
      - {id: ci, hmac: <hex>, tenant: default, roles: [viewer], namespaces: [payments-*], not_after: 2027-01-01T00:00:00Z}
    basic:
      - {user: alertmanager, hmac: <hex>, roles: [ingest]}
    revoked: [<jti of a token>]

`hmac` is HMAC-SHA256 of the plain key (of the password, for basic) under the pepper: our keys are random, so a
slow hash would buy nothing and cost 200 ms a request (measured). Two entries may share an id or user while
one replaces the other. An HMAC is made with `printf %s "$KEY" | openssl dgst -sha256 -hmac "$PEPPER"`.

The first jwt record that can sign signs our own tokens.
"""

from __future__ import annotations

import binascii
import hmac
from base64 import urlsafe_b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    model_validator,
)

from libs.auth.errors import UnreadableKeys
from libs.auth.permissions import Role
from libs.auth.principal import DEFAULT_TENANT, Method, NamespaceGlob, Principal, Tenant, principal_for
from libs.auth.tokens import KID, Algorithm, PrivateKey, PublicKey, TokenKey, paired_key, shared_key

MAX_FILE = 1_000_000
"""Bytes. Ten thousand API keys fit; a wrong mount (a log, a disk image) does not."""

MIN_SECRET = 32
"""Bytes of an HS256 secret or characters of a pepper: less than the hash's own width can be guessed."""

MIN_RSA_BITS = 2048

Id = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]*$")]
HexHmac = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _Record(BaseModel):
    # `hide_input_in_errors`: a validation message must not print the secret it complains about.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class JwtRecord(_Record):
    """One key for tokens: `key` for HS256; `public_key`, `private_key` or both for RS256 and ES256."""

    kid: Annotated[str, StringConstraints(pattern=f"^{KID.pattern}$")]
    alg: Algorithm
    key: SecretStr | None = None
    public_key: str | None = None
    private_key: SecretStr | None = None
    issuer: str = Field(min_length=1)
    audience: str = Field(min_length=1)
    not_after: AwareDatetime | None = None

    @model_validator(mode="after")
    def _has_the_keys_of_its_algorithm(self) -> Self:
        paired = self.public_key is not None or self.private_key is not None
        if self.alg == "HS256" and (self.key is None or paired):
            raise ValueError("HS256 takes `key` and neither `public_key` nor `private_key`")
        if self.alg != "HS256" and (self.key is not None or not paired):
            raise ValueError(f"{self.alg} takes `public_key` or `private_key` (PEM) and no `key`")
        return self


class _Grant(_Record):
    hmac: HexHmac
    tenant: Tenant = DEFAULT_TENANT
    roles: tuple[Role, ...] = Field(min_length=1)
    namespaces: tuple[NamespaceGlob, ...] | None = Field(
        default=None, description="left out: all of them in tenant `default`, none in another"
    )
    not_after: AwareDatetime | None = None


class ApiKeyRecord(_Grant):
    id: Id


class BasicRecord(_Grant):
    user: Id


class KeysDocument(_Record):
    """The whole file."""

    pepper: SecretStr = Field(min_length=MIN_SECRET)
    jwt: tuple[JwtRecord, ...] = ()
    api_keys: tuple[ApiKeyRecord, ...] = ()
    basic: tuple[BasicRecord, ...] = ()
    revoked: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Grant:
    """A principal and until when (POSIX seconds) its credential opens the door."""

    principal: Principal
    digest: bytes = field(repr=False)
    not_after: float | None


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Every credential we accept, indexed for the request path. Immutable; a changed file makes a new one."""

    pepper: bytes = field(repr=False)
    tokens: Mapping[str, TokenKey]
    api_keys: Mapping[bytes, Grant] = field(repr=False)
    """By HMAC. Finding one by dictionary leaks no usable time: the caller cannot compute the HMAC."""
    basic: Mapping[bytes, tuple[Grant, ...]] = field(repr=False)
    revoked: frozenset[str]

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and check a keys file.

        Raises:
            UnreadableKeys: names the path, the entry and what would be right; never a key.
        """
        try:
            with path.open("rb") as file:
                content = file.read(MAX_FILE + 1)
        except OSError as error:
            raise UnreadableKeys(path, error.strerror or type(error).__name__) from error
        if len(content) > MAX_FILE:
            raise UnreadableKeys(path, f"larger than {MAX_FILE} bytes; is this the keys file?")
        try:
            return cls.parse(content)
        except UnreadableKeys as error:
            raise UnreadableKeys(path, error.reason) from error

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Raises `UnreadableKeys`, without a path."""
        document = _document(content)
        pepper = document.pepper.get_secret_value().encode()
        kids = [record.kid for record in document.jwt]
        if twice := sorted({kid for kid in kids if kids.count(kid) > 1}):
            raise UnreadableKeys(None, f"jwt: kid {twice[0]!r} stands twice; every key needs its own")
        digests = [record.hmac for record in document.api_keys]
        if len(set(digests)) != len(digests):
            raise UnreadableKeys(None, "api_keys: two entries have the same hmac; a key belongs to one entry")
        return cls(
            pepper=pepper,
            tokens={record.kid: _token_key(record) for record in document.jwt},
            api_keys={
                grant.digest: grant
                for grant in (_grant(record.id, record, "api-key") for record in document.api_keys)
            },
            basic=_by_user(document.basic),
            revoked=document.revoked,
        )

    def signing_key(self, now: float) -> TokenKey | None:
        """The first key in the file's order that can sign and is not past its end."""
        return next(
            (
                key
                for key in self.tokens.values()
                if key.can_sign and (key.not_after is None or now < key.not_after)
            ),
            None,
        )

    def digest(self, secret: bytes) -> bytes:
        """The keyed HMAC under which this file would store `secret`."""
        return hmac.digest(self.pepper, secret, "sha256")


def _document(content: bytes) -> KeysDocument:
    try:
        return KeysDocument.model_validate(yaml.safe_load(content))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}" if mark else "somewhere"
        # Not the error's own text: it quotes the line, and the line may be a key.
        raise UnreadableKeys(None, f"{where}: not YAML or JSON") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UnreadableKeys(None, f"{where}: {first['msg']}") from None
    except (ValueError, RecursionError) as error:
        raise UnreadableKeys(None, f"not YAML or JSON ({type(error).__name__})") from None


def _grant(name: str, record: _Grant, method: Method) -> Grant:
    principal = principal_for(
        name,
        tenant=record.tenant,
        roles=record.roles,
        namespaces=record.namespaces,
        method=method,
        credential=f"{method}:{name}",
    )
    end = record.not_after.timestamp() if record.not_after else None
    return Grant(principal=principal, digest=bytes.fromhex(record.hmac), not_after=end)


def _by_user(records: Iterable[BasicRecord]) -> dict[bytes, tuple[Grant, ...]]:
    users: dict[bytes, tuple[Grant, ...]] = {}
    for record in records:
        user = record.user.encode()
        users[user] = (*users.get(user, ()), _grant(record.user, record, "basic"))
    return users


def _token_key(record: JwtRecord) -> TokenKey:
    common: dict[str, Any] = {
        "issuer": record.issuer,
        "audience": record.audience,
        "not_after": record.not_after.timestamp() if record.not_after else None,
    }
    if record.alg == "HS256":
        return shared_key(record.kid, _shared_secret(record), **common)
    private = _private(record) if record.private_key else None
    public = _public(record) if record.public_key else None
    if public is None and private is not None:
        public = private.public_key()
    elif public is not None and private is not None and private.public_key() != public:
        raise UnreadableKeys(None, f"jwt {record.kid}: private_key and public_key are not a pair")
    assert public is not None  # noqa: S101 - the record's validator demands one of the two
    return paired_key(record.kid, record.alg, public, private, **common)


def _shared_secret(record: JwtRecord) -> bytes:
    text = record.key.get_secret_value() if record.key else ""
    try:
        secret = urlsafe_b64decode(text.rstrip("=") + "==")
    except (binascii.Error, ValueError):
        raise UnreadableKeys(None, f"jwt {record.kid}: key is not base64url") from None
    if len(secret) < MIN_SECRET:
        raise UnreadableKeys(None, f"jwt {record.kid}: key has {len(secret)} bytes, needs {MIN_SECRET}")
    return secret


def _public(record: JwtRecord) -> PublicKey:
    try:
        key = load_pem_public_key((record.public_key or "").encode())
    except (ValueError, UnsupportedAlgorithm):
        raise UnreadableKeys(None, f"jwt {record.kid}: public_key is not a PEM public key") from None
    if not _fits(record.alg, key):
        raise UnreadableKeys(None, f"jwt {record.kid}: public_key does not fit; {_WANTED[record.alg]}")
    return key  # type: ignore[return-value]  # `_fits` has looked


def _private(record: JwtRecord) -> PrivateKey:
    text = record.private_key.get_secret_value() if record.private_key else ""
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise UnreadableKeys(
            None, f"jwt {record.kid}: private_key is not an unencrypted PEM private key"
        ) from None
    if not _fits(record.alg, key):
        raise UnreadableKeys(None, f"jwt {record.kid}: private_key does not fit; {_WANTED[record.alg]}")
    return key  # type: ignore[return-value]  # `_fits` has looked


_WANTED: Mapping[Literal["HS256", "RS256", "ES256"], str] = {
    "RS256": f"RS256 needs RSA of at least {MIN_RSA_BITS} bits",
    "ES256": "ES256 needs an elliptic curve key on P-256",
}


def _fits(algorithm: Algorithm, key: object) -> bool:
    if algorithm == "RS256":
        return isinstance(key, rsa.RSAPublicKey | rsa.RSAPrivateKey) and key.key_size >= MIN_RSA_BITS
    return isinstance(key, ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey) and isinstance(
        key.curve, ec.SECP256R1
    )
