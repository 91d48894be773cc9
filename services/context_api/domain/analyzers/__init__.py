"""One analyzer, one file: what is wrong, by one kind of sign. Each says what it sees and what it cannot.

`SYMPTOMS` look at the objects alone; `EXPLAINERS` get what those saw and look for what was changed, set or
forbidden. All are pure functions over the scene; none of them ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from services.context_api.domain.analyzers import (
    access_denied,
    autoscaler,
    certificate_expired,
    certificate_issue,
    closed_node,
    config_missing,
    config_value,
    cron_job,
    dependency_change,
    disruption_budget,
    event_scaler,
    gateway_route,
    gitops,
    image_pull,
    image_source,
    init_waiting,
    job_failed,
    limit_default,
    log_errors,
    mesh_rule,
    network_policy,
    node_trouble,
    not_reconciled,
    not_written,
    oom_kill,
    operator_install,
    pod_crash_loop,
    pod_rejected,
    pod_sandbox,
    preemption,
    probe_failure,
    pvc_pending,
    recent_edit,
    recent_rollout,
    rollout_stuck,
    saturation,
    scaled_to_zero,
    service_without_endpoints,
    stuck_deletion,
    suspicious_text,
    traffic_route,
    unhealthy_condition,
    unschedulable,
    volume_attachment,
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
    image_pull.observe,
    init_waiting.observe,
    config_missing.observe,
    unschedulable.observe,
    probe_failure.observe,
    volume_mount.observe,
    pod_rejected.observe,
    rollout_stuck.observe,
    service_without_endpoints.observe,
    pvc_pending.observe,
    traffic_route.observe,
    autoscaler.observe,
    disruption_budget.observe,
    stuck_deletion.observe,
    pod_sandbox.observe,
    cron_job.observe,
    log_errors.observe,
    saturation.observe,
    node_trouble.observe,
    job_failed.observe,
    scaled_to_zero.observe,
    unhealthy_condition.observe,
    gitops.observe,
    certificate_issue.observe,
    gateway_route.observe,
    operator_install.observe,
    volume_attachment.observe,
    event_scaler.observe,
    image_source.observe,
    not_written.observe,
    not_reconciled.observe,
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
    gitops.explain,
    mesh_rule.explain,
    certificate_issue.explain,
)
