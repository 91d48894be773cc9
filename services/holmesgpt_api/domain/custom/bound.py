"""A document with what is known of it here: whether its origin may be asked, and what it is asked with. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from services.holmesgpt_api.domain.custom.document import HttpToolset, McpToolset
from services.holmesgpt_api.domain.custom.origin import Origin

NOT_LISTED = "its origin is not in HOLMESGPT_TOOLSET_ORIGINS"


@dataclass(frozen=True, slots=True)
class Bound:
    document: HttpToolset | McpToolset
    withdrawn: str = ""
    """Why it is not offered; empty: it is."""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Fixed ones, and the credential's."""

    @property
    def name(self) -> str:
        return self.document.name

    @property
    def origin(self) -> Origin:
        return self.document.where

    def usable_by(self, tenant: str) -> bool:
        return not self.withdrawn and self.seen_by(tenant)

    def seen_by(self, tenant: str) -> bool:
        return not self.document.tenants or tenant in self.document.tenants


def bound(
    document: HttpToolset | McpToolset, allowed: Collection[Origin], headers: tuple[tuple[str, str], ...]
) -> Bound:
    """`allowed`: origins that the operator has listed."""
    listed = document.where in allowed
    return Bound(document, "" if listed else NOT_LISTED, headers if listed else ())
