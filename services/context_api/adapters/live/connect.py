"""Find the way to a cluster: a kubeconfig's context, or the service account of the pod this runs in.

Decides nothing about what is read. The only module, with `api`, that imports the Kubernetes client.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from services.context_api.adapters.live.errors import NoAccess

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")

CREDENTIAL = timedelta(seconds=30)
"""Longest wait for a kubeconfig's credential program (`aws eks get-token` and the like)."""


@dataclass(frozen=True, slots=True)
class Access:
    """Which cluster, as whom. Without a kubeconfig it is the cluster this runs in."""

    kubeconfig: str | None = None
    """A path, or several joined by colons as kubectl takes them."""
    context: str | None = None

    def __str__(self) -> str:
        if self.kubeconfig is None:
            return "the cluster this runs in"
        return f"{self.kubeconfig}, context {self.context}" if self.context else self.kubeconfig


async def connect(access: Access) -> ApiClient:
    """A client with the credentials of now. Opens no connection yet.

    In a thread: files are read and certificates parsed, and a credential program may run.

    Raises:
        NoAccess: with what to change.
    """
    return await asyncio.to_thread(_connect, access)


def _connect(access: Access) -> ApiClient:
    # Not `Configuration()`: that copies a default other code may have set in this process.
    configuration = type.__call__(Configuration)
    try:
        if access.kubeconfig is None:
            _in_cluster(configuration)
        else:
            _refuse_missing(access.kubeconfig)
            asyncio.run(_from_file(access, access.kubeconfig, configuration))
        # Each watch holds a connection; how many there are is bounded by those who open them.
        configuration.connection_pool_maxsize = 0
        client = ApiClient(configuration=configuration)
    except NoAccess:
        raise
    except TimeoutError as error:
        raise NoAccess(
            f"{access}: its credential program gave nothing within {CREDENTIAL.total_seconds():.0f} s"
        ) from error
    # A kubeconfig is a file people edit: the client raises whatever its shape makes it stumble over.
    except Exception as error:
        raise NoAccess(f"{access} cannot be used: {_first_line(error)}") from error
    client.user_agent = "kubernaut"
    return client


def _in_cluster(configuration: Configuration) -> None:
    if not SERVICE_ACCOUNT.is_file():
        raise NoAccess(
            f"no kubeconfig is set, and this is no pod with a service account ({SERVICE_ACCOUNT} is not there): "
            "set a kubeconfig"
        )
    load_incluster_config(client_configuration=configuration)


def _refuse_missing(paths: str) -> None:
    """The client reads missing files as empty ones, and then stumbles over the emptiness."""
    if not any(Path(path).expanduser().is_file() for path in paths.split(os.pathsep) if path):
        raise NoAccess(f"{paths}: no such kubeconfig")


async def _from_file(access: Access, paths: str, configuration: Configuration) -> None:
    loader = await asyncio.wait_for(
        load_kube_config(
            config_file=paths,
            context=access.context,
            client_configuration=configuration,
            persist_config=False,
        ),
        CREDENTIAL.total_seconds(),
    )
    # The client logs a failing credential program and goes on as nobody; we say it.
    user = getattr(loader, "_user", None)
    runs_program = user is not None and "exec" in user
    if runs_program and not configuration.api_key and not configuration.cert_file:
        raise NoAccess(
            f"{access}: its credential program gave no credential; run it by hand (`kubectl get ns`)"
        )


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    hint = "" if isinstance(error, ConfigException) else f"{type(error).__name__}: "
    return f"{hint}{lines[0]}"[:200]
