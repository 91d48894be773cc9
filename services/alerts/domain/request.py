"""Word the question that the investigation service is asked about an incident."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from libs.contracts.base import is_plausible
from libs.contracts.investigations import InvestigationRequest
from libs.contracts.target import Target
from services.alerts.domain.telling import EpisodeView, leading

_NAME, _NAMESPACE = 1024, 253  # what InvestigationRequest takes


def compose(
    *,
    incident_id: str,
    target: Target | None,
    episodes: Sequence[EpisodeView],
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    namespace: str | None,
) -> InvestigationRequest:
    """The request, frozen from here on: a retry with the same key must ask the same.

    Args:
        labels, annotations, namespace: those of the leading episode.
    """
    first = leading(episodes)
    began = min(episode.starts_at for episode in episodes)
    return InvestigationRequest(
        alert_name=first.alertname[:_NAME],
        namespace=namespace if namespace is None or len(namespace) <= _NAMESPACE else None,
        labels=dict(labels),
        annotations=dict(annotations),
        priority=first.priority.value,
        target=target,
        starts_at=began if is_plausible(began) else None,
        context={
            "incident_id": incident_id,
            "alerts": [
                {"id": one.id, "alertname": one.alertname, "severity": one.severity, "state": one.state}
                for one in episodes
            ],
        },
        request_id=incident_id,
    )
