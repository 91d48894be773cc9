"""A database claim asks for a version that the provider does not offer, so its application's Secret never comes."""

from __future__ import annotations

from typing import Any

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, deployment, from_secret, secret, service, system

Body = dict[str, Any]

INCIDENT = Incident(
    title="The claim for the booking database asks for PostgreSQL 16.40, which the provider does not offer",
    half=Half.tuned,
    story="The claim was applied with the application. Crossplane makes the composite and the managed instance, whose creation the provider refuses; connection details are never written, and the application's pods wait for their Secret.",
    sources=[
        "https://docs.crossplane.io/v1.20/concepts/claims/",
        "https://docs.crossplane.io/v1.20/guides/troubleshoot-crossplane/",
        "https://marketplace.upbound.io/providers/upbound/provider-aws-rds",
        "https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html",
        "https://github.com/crossplane-contrib/provider-aws/issues/480",
    ],
    labels={
        "alertname": "KubeDeploymentReplicasMismatch",
        "severity": "warning",
        "namespace": "travel",
        "deployment": "bookings",
        "job": "kube-state-metrics",
    },
    causes=["PostgreSQLInstance/travel/bookings"],
    says=[["16.40"], ["cannot find version"]],
    innocent=["Deployment/travel/bookings"],
    traits=frozenset({Trait.innocent}),
    authored=["crossplane status", "crossplane events"],
)

CLAIMS, MANAGED = "platform.example.com", "rds.aws.upbound.io"
INSTANCES = {"bookings": ("kx7vq", "16.40"), "loyalty": ("m2d9t", "16.10"), "fares": ("zq4hw", "16.10")}
REFUSED = (
    "async create failed: failed to create the resource: [{0 creating RDS DB Instance (bookings-kx7vq-instance): operation error RDS: CreateDBInstance, "
    "https response error StatusCode: 400, RequestID: 6b2c7f4e-6f0e-4d0f-9f0e-1c5d7a7b3e21, api error InvalidParameterCombination: Cannot find version 16.40 for postgres  []}]"
)


def play(stage: Stage) -> None:
    stage.crd(CLAIMS, "v1alpha1", "PostgreSQLInstance", "postgresqlinstances")
    stage.crd(CLAIMS, "v1alpha1", "XPostgreSQLInstance", "xpostgresqlinstances", namespaced=False)
    stage.crd("apiextensions.crossplane.io", "v1", "Composition", "compositions", namespaced=False)
    stage.crd(MANAGED, "v1beta3", "Instance", "instances", namespaced=False)
    stage.apply([
        *system(),
        {"apiVersion": "apiextensions.crossplane.io/v1", "kind": "Composition", "metadata": {"name": "postgresql-on-rds"}, "spec": {
            "compositeTypeRef": {"apiVersion": f"{CLAIMS}/v1alpha1", "kind": "XPostgreSQLInstance"}, "mode": "Pipeline",
            "pipeline": [{"step": "compose", "functionRef": {"name": "function-patch-and-transform"}}],
            "writeConnectionSecretsToNamespace": "crossplane-system",
        }},
        deployment("crossplane-system/crossplane", container("crossplane", "crossplane/crossplane:v1.20.3"), replicas=1),
        deployment("crossplane-system/provider-aws-rds", container("package-runtime", "upbound/provider-aws-rds:v2.2.0"), replicas=1),
    ])  # fmt: skip
    for name in ("loyalty", "fares"):
        _compose(stage, name)
        stage.apply(
            [
                secret(
                    f"travel/{name}-db",
                    {"username": "adm", "password": "example", "endpoint": f"{name}.db.example.com"},
                ),
                *_application(name),
            ]
        )
    stage.calm()
    for name in ("loyalty", "fares"):
        _ready(stage, name)
    stage.wait(days=27, hours=6)

    stage.hold("travel/bookings")
    _compose(stage, "bookings")
    stage.apply(_application("bookings"))
    stage.placed("travel/bookings", 2)
    stage.wait(minutes=4)
    _refused(stage)
    stage.stuck(
        "travel/bookings", "CreateContainerConfigError", 'secret "bookings-db" not found', count=2,
        event=("Failed", 'Error: secret "bookings-db" not found'),
    )  # fmt: skip
    stage.wait(minutes=17)
    stage.event(stage.get(f"instances.{MANAGED}/_cluster/bookings-kx7vq-instance"), "CannotCreateExternalResource", REFUSED,
                component="managed/rds.aws.upbound.io/v1beta3, kind=instance", count=9, minutes_ago=2)  # fmt: skip
    claim = stage.get("postgresqlinstances/travel/bookings")
    stage.event(claim, "BindCompositeResource", "Composite resource is not yet ready", kind="Normal",
                component="offered/compositeresourcedefinition.apiextensions.crossplane.io", count=22, minutes_ago=1)  # fmt: skip
    stage.log("crossplane-system/provider-aws-rds", printed(stage.ago(minutes=19), [
        f'<%Y-%m-%dT%H:%M:%SZ>\tDEBUG\tprovider-aws\tCannot create external resource\t{{"controller": "managed/rds.aws.upbound.io/v1beta3, kind=instance", "request": {{"name":"bookings-kx7vq-instance"}}, "error": "{REFUSED}"}}',
        '<%Y-%m-%dT%H:%M:%SZ>\tDEBUG\tprovider-aws\tExternal resource is up to date\t{"controller": "managed/rds.aws.upbound.io/v1beta3, kind=instance", "request": {"name":"fares-zq4hw-instance"}}',
    ] * 6, every_s=95))  # fmt: skip
    chatter(stage, "travel/fares", ['level=info msg="fares found" legs=<1-4> took=<10-60>ms'])
    chatter(stage, "travel/loyalty", ['level=info msg="points booked" points=<10-900>'])
    stage.fire(minutes_ago=4)


def _application(name: str) -> list[Body]:
    env = {
        key: from_secret(f"{name}-db", part)
        for key, part in (("DB_HOST", "endpoint"), ("DB_USER", "username"), ("DB_PASSWORD", "password"))
    }
    return [
        deployment(
            f"travel/{name}",
            container(name, f"travel/{name}:1.0.{len(name)}", port=8080, ready="/ready", env=env),
        ),
        service(f"travel/{name}", 8080),
    ]


def _compose(stage: Stage, name: str) -> None:
    """The claim, and what Crossplane makes of it."""
    suffix, version = INSTANCES[name]
    composite = f"{name}-{suffix}"
    parameters = {"version": version, "storageGB": 50, "class": "db.t4g.medium", "region": "eu-central-1"}
    stage.apply([{
        "apiVersion": f"{CLAIMS}/v1alpha1", "kind": "PostgreSQLInstance", "metadata": {"name": name, "namespace": "travel"},
        "spec": {
            "parameters": parameters, "compositionRef": {"name": "postgresql-on-rds"}, "compositeDeletePolicy": "Background",
            "resourceRef": {"apiVersion": f"{CLAIMS}/v1alpha1", "kind": "XPostgreSQLInstance", "name": composite},
            "writeConnectionSecretToRef": {"name": f"{name}-db"},
        },
    }])  # fmt: skip
    stage.apply([{
        "apiVersion": f"{CLAIMS}/v1alpha1", "kind": "XPostgreSQLInstance",
        "metadata": {"name": composite, "labels": {"crossplane.io/claim-name": name, "crossplane.io/claim-namespace": "travel", "crossplane.io/composite": composite}},
        "spec": {
            "parameters": parameters, "compositionRef": {"name": "postgresql-on-rds"},
            "claimRef": {"apiVersion": f"{CLAIMS}/v1alpha1", "kind": "PostgreSQLInstance", "name": name, "namespace": "travel"},
            "resourceRefs": [{"apiVersion": f"{MANAGED}/v1beta3", "kind": "Instance", "name": f"{composite}-instance"}],
        },
    }], manager="apiextensions.crossplane.io/claim")  # fmt: skip
    owner = stage.get(f"xpostgresqlinstances/_cluster/{composite}")
    stage.apply([{
        "apiVersion": f"{MANAGED}/v1beta3", "kind": "Instance",
        "metadata": {
            "name": f"{composite}-instance",
            "annotations": {"crossplane.io/composition-resource-name": "instance", "crossplane.io/external-name": f"{composite}-instance"},
            "labels": {"crossplane.io/claim-name": name, "crossplane.io/claim-namespace": "travel", "crossplane.io/composite": composite},
            "ownerReferences": [{"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": composite, "uid": owner["metadata"]["uid"], "controller": True, "blockOwnerDeletion": True}],
        },
        "spec": {
            "deletionPolicy": "Delete", "managementPolicies": ["*"], "providerConfigRef": {"name": "default"},
            "forProvider": {"engine": "postgres", "engineVersion": version, "allocatedStorage": 50, "instanceClass": "db.t4g.medium", "region": "eu-central-1", "dbName": name},
            "writeConnectionSecretToRef": {"name": f"{owner['metadata']['uid']}-instance", "namespace": "crossplane-system"},
        },
    }], manager="apiextensions.crossplane.io/composed")  # fmt: skip


def _condition(stage: Stage, kind: str, good: bool, reason: str, message: str = "") -> Body:
    return {
        "type": kind,
        "status": str(good),
        "reason": reason,
        "lastTransitionTime": stage.stamp(),
        **({"message": message} if message else {}),
    }


def _ready(stage: Stage, name: str) -> None:
    composite = f"{name}-{INSTANCES[name][0]}"
    synced, ready = (
        _condition(stage, "Synced", True, "ReconcileSuccess"),
        _condition(stage, "Ready", True, "Available"),
    )
    stage.status(f"instances.{MANAGED}/_cluster/{composite}-instance", {
        "atProvider": {"status": "available", "engineVersionActual": INSTANCES[name][1], "endpoint": f"{name}.db.example.com:5432"},
        "conditions": [ready, synced, _condition(stage, "LastAsyncOperation", True, "Success")],
    }, manager="provider-aws")  # fmt: skip
    stage.status(
        f"xpostgresqlinstances/_cluster/{composite}", {"conditions": [synced, ready]}, manager="crossplane"
    )
    stage.status(
        f"postgresqlinstances/travel/{name}",
        {"conditions": [synced, ready], "connectionDetails": {"lastPublishedTime": stage.stamp()}},
        manager="crossplane",
    )


def _refused(stage: Stage) -> None:
    synced = _condition(stage, "Synced", True, "ReconcileSuccess")
    stage.status(f"instances.{MANAGED}/_cluster/bookings-kx7vq-instance", {"conditions": [
        _condition(stage, "Ready", False, "Creating"),
        _condition(stage, "Synced", False, "ReconcileError", REFUSED.replace("async create", "create", 1)),
        _condition(stage, "LastAsyncOperation", False, "AsyncCreateFailure", REFUSED),
    ]}, manager="provider-aws")  # fmt: skip
    stage.status("xpostgresqlinstances/_cluster/bookings-kx7vq", {
        "conditions": [synced, _condition(stage, "Ready", False, "Creating", "Unready resources: instance")],
    }, manager="crossplane")  # fmt: skip
    stage.status("postgresqlinstances/travel/bookings", {
        "conditions": [synced, _condition(stage, "Ready", False, "Waiting", "Claim is waiting for composite resource to become Ready")],
    }, manager="crossplane")  # fmt: skip
