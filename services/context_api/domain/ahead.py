"""What every answer asks of every object, read when objects are loaded: nobody waits for an answer then.

Decides nothing. Leaving it out changes no answer; the first one about these objects takes half as long again (measured 2026-11).
"""

from __future__ import annotations

from collections.abc import Iterable

from services.context_api.domain.changes import last_edit
from services.context_api.domain.containers import is_live, is_ready, is_settled
from services.context_api.domain.graph import node_of
from services.context_api.domain.kube import owner_named, template_labels
from services.context_api.domain.names import addresses_of
from services.context_api.domain.snapshot import KubeObject


def read_ahead(objects: Iterable[KubeObject]) -> None:
    for obj in objects:
        owner_named(obj)
        if obj.kind == "Pod":
            for reading in (is_live, is_ready, is_settled, node_of, template_labels, addresses_of):
                reading(obj)
        else:
            last_edit(obj)
