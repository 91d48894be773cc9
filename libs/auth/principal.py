"""Principal: the caller, as everything behind the door sees it. Immutable, made once per credential."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import StringConstraints

from libs.auth.permissions import Permission, Role, permissions_of

DEFAULT_TENANT = "default"
EVERY_NAMESPACE = "*"

Tenant = Annotated[
    str, StringConstraints(min_length=1, max_length=63, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")
]
RunId = Annotated[
    str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
]
NamespaceGlob = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=r"^[a-z0-9*?-]+$")]

Method = Literal["token", "api-key", "basic", "trusted-network"]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls, for which tenant, and what they may see.

    Attributes:
        name: the token's subject, the API key's id, the basic-auth user or the network's principal.
        namespaces: globs (`*` and `?`); empty means none.
        credential: which record let them in (key id, kid, CIDR); never the secret itself.
        run: the investigation on whose behalf this caller's evidence is read; None for everybody else.
    """

    name: str
    tenant: str
    roles: frozenset[Role]
    permissions: frozenset[Permission]
    namespaces: tuple[str, ...]
    method: Method
    credential: str = ""
    run: str | None = None
    _namespaces: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_namespaces", _either(self.namespaces))

    def may(self, permission: Permission | str) -> bool:
        return permission in self.permissions

    def may_read(self, namespace: str | None) -> bool:
        """Whether objects of this namespace may be shown; None is cluster scope, which only `*` covers."""
        if namespace is None:
            return EVERY_NAMESPACE in self.namespaces
        return self._namespaces.fullmatch(namespace) is not None


def principal_for(
    name: str,
    *,
    tenant: str,
    roles: Iterable[Role],
    namespaces: Iterable[str] | None,
    method: Method,
    credential: str,
    run: str | None = None,
) -> Principal:
    """Build a principal; left-out namespaces mean all of them in the default tenant, and none elsewhere."""
    held = frozenset(roles)
    if namespaces is None:
        namespaces = (EVERY_NAMESPACE,) if tenant == DEFAULT_TENANT else ()
    return Principal(
        name=name,
        tenant=tenant,
        roles=held,
        permissions=permissions_of(held),
        namespaces=tuple(namespaces),
        method=method,
        credential=credential,
        run=run,
    )


def _either(globs: tuple[str, ...]) -> re.Pattern[str]:
    """One pattern for all globs; matches nothing when there are none."""
    return re.compile("|".join(_pattern(glob) for glob in globs) or r"(?!)")


def _pattern(glob: str) -> str:
    """Translate one glob; linear in the namespace's length however many stars it has.

    Between two stars the leftmost match is as good as any, so each is an atomic group and is never tried
    again: `*a*a*a*a*b` would otherwise backtrack for minutes.
    """
    first, *rest = (
        "".join("." if sign == "?" else re.escape(sign) for sign in part) for part in glob.split("*")
    )
    if not rest:
        return first
    *middle, last = rest
    return first + "".join(f"(?>.*?{part})" for part in middle if part) + f".*{last}"
