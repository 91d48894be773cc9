"""Target: the one way this product names an object in a cluster."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import Field, StringConstraints

from libs.contracts.base import Contract

Name = Annotated[
    str,
    StringConstraints(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9]([A-Za-z0-9._:-]*[A-Za-z0-9])?$"),
]
"""An object's name: RFC 1123 subdomain, widened to what RBAC and CRD names really contain (`system:node`)."""

Namespace = Annotated[
    str, StringConstraints(min_length=1, max_length=63, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")
]
"""RFC 1123 label, as the API server demands of namespaces."""

Kind = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=r"^[A-Za-z][A-Za-z0-9]*$")]

_CLUSTER = r"^[A-Za-z0-9]([A-Za-z0-9._:/-]*[A-Za-z0-9])?$"
Cluster = Annotated[str, StringConstraints(min_length=1, max_length=253, pattern=_CLUSTER)]
"""A cluster's name as operators give it; wide enough for cloud providers' ids."""

ApiVersion = Annotated[
    str,
    StringConstraints(
        min_length=1, max_length=317, pattern=r"^([a-z0-9][a-z0-9.-]*/)?[A-Za-z0-9][A-Za-z0-9]*$"
    ),
]
"""`v1` or `group/version`."""

CLUSTER_SCOPE = "_cluster"
"""Stands in a path where a namespace would, for objects that have none."""


def is_cluster_name(text: str) -> bool:
    """Whether a label's text can name a cluster at all."""
    return len(text) <= 253 and re.match(_CLUSTER, text) is not None and not text.endswith("\n")


class Target(Contract):
    """One Kubernetes object, in one cluster."""

    cluster: Cluster = "local"
    api_version: ApiVersion = Field(default="v1", examples=["v1", "apps/v1"])
    kind: Kind
    namespace: Namespace | None = None
    name: Name

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace or CLUSTER_SCOPE}/{self.name}"

    @classmethod
    def parse(cls, text: str, *, cluster: str = "local") -> Self:
        """Read `KIND/NAMESPACE/NAME` (`_cluster` or `-` for no namespace) or `KIND/NAME`.

        Raises:
            ValueError: the text has another shape.
        """
        parts = text.split("/")
        if len(parts) == 2:
            kind, namespace, name = parts[0], None, parts[1]
        elif len(parts) == 3:
            kind, namespace, name = (
                parts[0],
                None if parts[1] in (CLUSTER_SCOPE, "-", "") else parts[1],
                parts[2],
            )
        else:
            raise ValueError(f"{text!r} is not KIND/NAMESPACE/NAME (use {CLUSTER_SCOPE} for no namespace)")
        return cls(cluster=cluster, kind=kind, namespace=namespace, name=name)
