"""How `kubectl get` prints the built-in kinds. Custom ones say it in their definitions (`tables.custom`)."""

from __future__ import annotations

from collections.abc import Mapping

from cli.serve_recording.printers import cluster, networking, pods, storage, workloads
from cli.serve_recording.resources import Resource
from cli.serve_recording.tables import PLAIN, Printer, custom
from services.context_api.domain.kinds import BUILT_IN

_RBAC, _STORAGE, _NETWORKING = "rbac.authorization.k8s.io", "storage.k8s.io", "networking.k8s.io"
_ADMISSION = "admissionregistration.k8s.io"

PRINTERS: Mapping[tuple[str, str], Printer] = {
    ("", "Pod"): pods.POD,
    ("", "ReplicationController"): workloads.REPLICATION_CONTROLLER,
    ("apps", "Deployment"): workloads.DEPLOYMENT,
    ("apps", "ReplicaSet"): workloads.REPLICA_SET,
    ("apps", "StatefulSet"): workloads.STATEFUL_SET,
    ("apps", "DaemonSet"): workloads.DAEMON_SET,
    ("apps", "ControllerRevision"): cluster.REVISION,
    ("batch", "Job"): workloads.JOB,
    ("batch", "CronJob"): workloads.CRON_JOB,
    ("autoscaling", "HorizontalPodAutoscaler"): workloads.AUTOSCALER,
    ("policy", "PodDisruptionBudget"): workloads.DISRUPTION_BUDGET,
    ("", "Service"): networking.SERVICE,
    ("", "Endpoints"): networking.ENDPOINTS,
    ("discovery.k8s.io", "EndpointSlice"): networking.ENDPOINT_SLICE,
    (_NETWORKING, "Ingress"): networking.INGRESS,
    (_NETWORKING, "IngressClass"): networking.INGRESS_CLASS,
    (_NETWORKING, "NetworkPolicy"): networking.NETWORK_POLICY,
    (_NETWORKING, "ServiceCIDR"): networking.SERVICE_CIDR,
    (_NETWORKING, "IPAddress"): networking.IP_ADDRESS,
    ("route.openshift.io", "Route"): networking.ROUTE,
    ("", "PersistentVolumeClaim"): storage.CLAIM,
    ("", "PersistentVolume"): storage.VOLUME,
    (_STORAGE, "StorageClass"): storage.STORAGE_CLASS,
    (_STORAGE, "VolumeAttachment"): storage.VOLUME_ATTACHMENT,
    (_STORAGE, "CSINode"): storage.CSI_NODE,
    ("", "ConfigMap"): storage.CONFIG_MAP,
    ("", "Secret"): storage.SECRET,
    ("", "Node"): cluster.NODE,
    ("", "Namespace"): cluster.NAMESPACE,
    ("", "Event"): cluster.EVENT,
    ("", "ResourceQuota"): cluster.QUOTA,
    ("", "LimitRange"): cluster.DATED,
    ("", "ServiceAccount"): cluster.SERVICE_ACCOUNT,
    (_RBAC, "Role"): cluster.DATED,
    (_RBAC, "ClusterRole"): cluster.DATED,
    (_RBAC, "RoleBinding"): cluster.BINDING,
    (_RBAC, "ClusterRoleBinding"): cluster.BINDING,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): cluster.DATED,
    ("apiregistration.k8s.io", "APIService"): cluster.API_SERVICE,
    ("scheduling.k8s.io", "PriorityClass"): cluster.PRIORITY_CLASS,
    ("coordination.k8s.io", "Lease"): cluster.LEASE,
    (_ADMISSION, "MutatingWebhookConfiguration"): cluster.WEBHOOKS,
    (_ADMISSION, "ValidatingWebhookConfiguration"): cluster.WEBHOOKS,
}


def printer_of(resource: Resource) -> Printer:
    """The columns of a kind: its own, those of its definition, else what can be told of any."""
    key = (resource.group, resource.kind)
    plain = key in BUILT_IN and not resource.group.endswith(".openshift.io")
    return PRINTERS.get(key) or (PLAIN if plain else custom(resource))
