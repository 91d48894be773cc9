"""Reads a live cluster: discovery, lists and watches, container logs, and Prometheus beside it.

Two ways to the same snapshot. `Gathering` lists everything once, for a person who waits (`record`, `triage --live`);
`Watching` keeps a cache current by list and watch, for a service that is asked again and again.

The same rules as for a recording: every amount is bounded, Secrets are emptied before anything else sees them,
and what could not be read is named in the snapshot. Nothing of the Kubernetes client leaves this package.
Importing it takes 0.9 s (the client), so those who may not need it import it late.
"""

from services.context_api.adapters.live.api import KubeApi
from services.context_api.adapters.live.cluster import LiveCluster, Times
from services.context_api.adapters.live.connect import Access
from services.context_api.adapters.live.errors import ApiFailure, LiveError, NoAccess, NotAnswering
from services.context_api.adapters.live.gather import Gathering, Scope
from services.context_api.adapters.live.limits import LiveLimits
from services.context_api.adapters.live.prometheus import Prometheus
from services.context_api.adapters.live.quota import Quota
from services.context_api.adapters.live.verdicts import Pauses
from services.context_api.adapters.live.watching import Reading, Watching

__all__ = [
    "Access",
    "ApiFailure",
    "Gathering",
    "KubeApi",
    "LiveCluster",
    "LiveError",
    "LiveLimits",
    "NoAccess",
    "NotAnswering",
    "Pauses",
    "Prometheus",
    "Quota",
    "Reading",
    "Scope",
    "Times",
    "Watching",
]
