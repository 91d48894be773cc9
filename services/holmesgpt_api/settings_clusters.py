"""What an operator can set about clusters; `settings.py` puts it among the rest."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from libs.clients.settings import ContextPeerSettings
from services.holmesgpt_api.domain.clusters import Clusters, ClusterUrls


def _mapping(value: object) -> object:
    """As an environment has it: JSON, no name of it twice."""
    if not isinstance(value, str):
        return value
    if not value.strip():
        return {}
    try:
        return json.loads(value, object_pairs_hook=_once)
    except json.JSONDecodeError:
        raise ValueError('want JSON: {"cluster": "http://context-api:8091"}') from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a cluster stands there twice")
    return found


class ClusterSettings(ContextPeerSettings):
    """Where each cluster's evidence comes from. With none of them named there is one Context API, for every alert."""

    context_api_urls: Annotated[ClusterUrls, NoDecode, BeforeValidator(_mapping)] = Field(
        default_factory=dict, validation_alias="HOLMESGPT_CLUSTERS"
    )
    """JSON, cluster's name to the base URL of its Context API, e.g. `{"prod-eu": "http://context-eu:8091"}`. The name is
    what the alerts' label `cluster` says (Prometheus' external label), and the `EVIDENCE_CLUSTER` of that Context API. An
    alert that names no cluster is asked about at `KUBERNAUT_CONTEXT_API_URL`, which may be one of these; one of a cluster
    that is not among them ends without a result and says so, so name the default one too where its alerts name it. Empty by
    default: everything is asked of that one."""

    @property
    def clusters(self) -> Clusters:
        named = {name: str(url) for name, url in self.context_api_urls.items()}
        return Clusters(str(self.context_api_url), named)
