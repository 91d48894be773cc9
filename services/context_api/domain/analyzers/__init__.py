"""One analyzer, one file: what is wrong, by one kind of sign. Each says what it sees and what it cannot.

`SYMPTOMS` look at the objects alone; `EXPLAINERS` get what those saw and look for what was changed, set or
forbidden. All are pure functions over the scene; none of them ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from services.context_api.domain.analyzers import (
    access_denied,
    admission_webhook,
    api_service,
    autoscaler,
    certificate_expired,
    closed_node,
    cluster_dns,
    config_missing,
    config_size,
    config_value,
    cron_job,
    dependency_change,
    disruption_budget,
    error_budget,
    image_pull,
    init_waiting,
    job_failed,
    limit_default,
    load_balancer,
    log_errors,
    network_policy,
    node_filesystem,
    node_filled,
    node_trouble,
    oom_kill,
    pod_crash_loop,
    pod_rejected,
    pod_sandbox,
    preemption,
    probe_failure,
    pvc_pending,
    recent_edit,
    recent_rollout,
    restart_rate,
    rollout_stuck,
    saturation,
    scaled_to_zero,
    service_without_endpoints,
    stateful_set,
    storage,
    stuck_deletion,
    suspicious_text,
    traffic_route,
    unhealthy_condition,
    unschedulable,
    volume_full,
    volume_mount,
    wrong_address,
)
from services.context_api.domain.observation import Observation
from services.context_api.domain.scene import Scene

Symptom = Callable[[Scene], Iterable[Observation]]
Explainer = Callable[[Scene, Sequence[Observation]], Iterable[Observation]]

SYMPTOMS: Sequence[Symptom] = (
    pod_crash_loop.observe,
    oom_kill.observe,
    restart_rate.observe,
    image_pull.observe,
    init_waiting.observe,
    config_missing.observe,
    unschedulable.observe,
    probe_failure.observe,
    volume_mount.observe,
    pod_rejected.observe,
    rollout_stuck.observe,
    service_without_endpoints.observe,
    load_balancer.observe,
    pvc_pending.observe,
    traffic_route.observe,
    autoscaler.observe,
    disruption_budget.observe,
    stuck_deletion.observe,
    pod_sandbox.observe,
    cron_job.observe,
    log_errors.observe,
    saturation.observe,
    node_filesystem.observe,
    error_budget.observe,
    node_trouble.observe,
    job_failed.observe,
    scaled_to_zero.observe,
    unhealthy_condition.observe,
    storage.observe,
    config_size.observe,
    suspicious_text.observe,
)

EXPLAINERS: Sequence[Explainer] = (
    recent_rollout.explain,
    recent_edit.explain,
    config_value.explain,
    wrong_address.explain,
    network_policy.explain,
    closed_node.explain,
    access_denied.explain,
    volume_full.explain,
    dependency_change.explain,
    certificate_expired.explain,
    limit_default.explain,
    preemption.explain,
    admission_webhook.explain,
    cluster_dns.explain,
    node_filled.explain,
    api_service.explain,
    stateful_set.explain,
)
