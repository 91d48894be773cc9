"""Keeps in PostgreSQL what MCP servers said of their tools at the first look. Whoever looks first decides for all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta

from sqlalchemy import RowMapping, text

from libs.storage import Database
from services.holmesgpt_api.domain.custom.document import McpToolset
from services.holmesgpt_api.domain.custom.pin import Offer, Pin, fault_in

LARGEST = 24_000
"""Characters of what a server says of one tool."""

KEPT = timedelta(days=30)
"""How long a document's version is remembered after it was last looked at: it may be put back."""

_LOOKED = text("""
    INSERT INTO toolset_pin (toolset, version, tool, hash, offer, changed, fault)
    VALUES (:toolset, :version, :tool, :hash, CAST(:offer AS jsonb), :changed, :fault)
    ON CONFLICT (toolset, version, tool) DO UPDATE
       SET hash = coalesce(toolset_pin.hash, excluded.hash), offer = coalesce(toolset_pin.offer, excluded.offer),
           changed = toolset_pin.changed OR excluded.changed,
           fault = CASE WHEN toolset_pin.changed THEN toolset_pin.fault ELSE excluded.fault END,
           looked_at = now()
    RETURNING toolset, version, tool, hash, offer, fault
""")
_OF = text("""
    SELECT toolset, version, tool, hash, offer, fault FROM toolset_pin
     WHERE toolset = :toolset AND version = :version
""")
_ALL = text("""
    SELECT toolset, version, tool, hash, offer, fault FROM toolset_pin ORDER BY toolset, version, tool LIMIT 5000
""")
_FORGET = text("DELETE FROM toolset_pin WHERE looked_at < now() - CAST(:kept AS interval)")


class PostgresPins:
    """Raises StorageUnavailable everywhere."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def looked(self, document: McpToolset, offers: dict[str, Offer]) -> dict[str, Pin]:
        """Hold a server's words against those of the first look; this one is it, where there was none."""
        known = await self.of(document)
        made: dict[str, Pin] = {}
        async with self._database.begin() as conn:
            for tool in document.tools:
                offer, before = offers.get(tool.name), known.get(tool.name)
                pinned = before.hash if before is not None else None
                fault = fault_in(tool, offer, tool.pin or pinned)
                written = None if offer is None else json.dumps(asdict(offer))
                if written is not None and (len(written) > LARGEST or "\\u0000" in written):
                    written, fault = None, fault or "what the server says of it cannot be kept"
                changed = (
                    tool.pin is None and pinned is not None and offer is not None and offer.hash != pinned
                )
                values = {
                    "toolset": document.name,
                    "version": document.version,
                    "tool": tool.name,
                    # Only what can be offered is what others are held to.
                    "hash": None if fault or offer is None else offer.hash,
                    "offer": None if fault else written,
                    "changed": changed,
                    "fault": fault[:500],
                }
                made[tool.name] = _pin((await conn.execute(_LOOKED, values)).mappings().one())
            await conn.execute(_FORGET, {"kept": KEPT})
        return made

    async def of(self, document: McpToolset) -> dict[str, Pin]:
        values = {"toolset": document.name, "version": document.version}
        async with self._database.begin() as conn:
            rows = (await conn.execute(_OF, values)).mappings().all()
        return {row["tool"]: _pin(row) for row in rows}

    async def all(self) -> Sequence[Pin]:
        async with self._database.begin() as conn:
            rows = (await conn.execute(_ALL)).mappings().all()
        return [_pin(row) for row in rows]


def _pin(row: RowMapping) -> Pin:
    offer = None if row["offer"] is None else Offer(**row["offer"])
    return Pin(row["toolset"], row["version"], row["tool"], row["hash"], offer, row["fault"])
