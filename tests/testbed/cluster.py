"""Runs one control plane on loopback, in a temporary directory of its own.

Nobody but the owner of this process can read its keys, and it ends with the process, however that ends. Nodes are
made by whoever needs them: `add_node`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.ports import free_ports
from tests.testbed import flags, launch, nodes
from tests.testbed.programs import Programs, find

Body = dict[str, Any]

READY_WITHIN_S = 90.0
"""A quiet machine takes 3 s; tests share two cores with others."""

CALL_WITHIN_S = 120.0
"""For one kubectl or helm, whatever it waits for."""

STOP_WITHIN_S = 10.0
"""For each program, before it is killed. Nothing of a test's control plane is worth waiting longer for."""

START_TRIES = 3
"""A port that was free may be taken before the server has it."""

DEFAULT_CLASS = "kwok-volume"
"""The StorageClass whose claims KWOK provisions at once."""

ADVERTISED = "192.0.2.1"
"""Of the range for documentation: otherwise it is an address of this machine's, and ends in recordings."""

PREFIX = "kubernaut-testbed-"
_TAKEN = "address already in use"
_ENDING = (signal.SIGTERM, signal.SIGKILL)


class ClusterFailed(Exception):
    """The control plane did not come up; the message ends with the log of what failed."""


ACTING = ("kube-controller-manager", "kube-scheduler", "kwok")


class CallFailed(Exception):
    """kubectl or helm ended with an error: the message is what it said."""

    def __init__(self, command: str, code: int, said: str) -> None:
        super().__init__(f"{command} (exit {code}): {said}")
        self.code, self.said = code, said


@dataclass
class _Running:
    name: str
    arguments: Sequence[str]
    process: subprocess.Popen[bytes]
    log: Path


class Cluster:
    """One control plane. Use it from the main thread: on Linux its programs end with the thread that started them."""

    def __init__(
        self,
        programs: Programs | None = None,
        *,
        directory: Path | None = None,
        controllers: Sequence[str] = ("*",),
        advertise: str = ADVERTISED,
    ) -> None:
        """Args:
        directory: where its files go, kept afterwards; by default a temporary one that is removed.
        controllers: of kube-controller-manager; `-cronjob-controller` leaves that one out.
        advertise: the address under which the Service `kubernetes` says that the API server is.
        """
        self._controllers, self._advertise = controllers, advertise
        self._programs = (programs or find()).required()
        self._given = directory
        self._directory: Path | None = None
        self._lock: IO[bytes] | None = None
        self._running: list[_Running] = []
        self._tokens: dict[str, str] = {}
        self._http: httpx.Client | None = None
        self.url = ""
        self.etcd_url = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # --- life -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start everything and wait until it answers.

        Raises:
            ClusterFailed: a program ended, or was not ready in time.
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("the control plane ends with the thread that starts it: use the main thread")
        for attempt in range(1, START_TRIES + 1):
            try:
                self._start()
            except ClusterFailed as error:
                self.stop()
                if _TAKEN not in str(error) or attempt == START_TRIES:
                    raise
            except BaseException:
                self.stop()
                raise
            else:
                return

    def stop(self) -> None:
        """End the programs, what talks first and what is talked to last, and remove the temporary directory."""
        if self._http is not None:
            self._http.close()
            self._http = None
        for running in reversed(self._running):
            _end(running.process)
        self._running = []
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        if self._directory is not None and self._given is None:
            shutil.rmtree(self._directory, ignore_errors=True)
        self._directory = None

    def halt(self) -> None:
        """End what acts by itself (controllers, scheduler, KWOK); what is stored can be read and written on."""
        acting = [running for running in self._running if running.name in ACTING]
        for running in acting:
            _end(running.process)
        self._running = [running for running in self._running if running not in acting]

    def restart(self, name: str, *, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Kill a program without a word and start it again, as a crash does. Does not wait: see `answers`.

        Args:
            meanwhile: done while it is not there.
        """
        running = next(one for one in self._running if one.name == name)
        running.process.kill()
        running.process.wait()
        self._running.remove(running)
        meanwhile()
        self._launch(name, *running.arguments)

    def answers(self) -> bool:
        """Whether the API server is there and ready."""
        return self._answers()

    def compact(self) -> int:
        """Let etcd forget every change so far, as the API server has it do every five minutes; the version it is at."""
        with httpx.Client(base_url=self.etcd_url, timeout=30, trust_env=False) as etcd:
            state = (
                etcd.post("/v3/kv/range", json={"key": b64encode(b"/").decode()}).raise_for_status().json()
            )
            version = int(state["header"]["revision"])
            etcd.post("/v3/kv/compaction", json={"revision": version, "physical": True}).raise_for_status()
        return version

    @property
    def pids(self) -> Mapping[str, int]:
        """Program -> process id."""
        return {running.name: running.process.pid for running in self._running}

    @property
    def directory(self) -> Path:
        if self._directory is None:
            raise RuntimeError("the control plane is not running: call start() first")
        return self._directory

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.directory / "admin.kubeconfig"

    @property
    def authority(self) -> Path:
        """The certificate that its API server is trusted by."""
        return flags.certificate(self.directory)

    def kubeconfig_at(self, url: str) -> Path:
        """The administrator's, by another way to the same API server."""
        place = self.directory / "elsewhere.kubeconfig"
        self._write_kubeconfig(place, "admin", self._tokens["admin"], url)
        return place

    def program(self, name: str) -> Path:
        return self._programs.path(name)

    # --- use --------------------------------------------------------------------------------------------------

    def kubectl(self, *arguments: str | Path, input: str | None = None, **environment: str) -> str:
        """Run kubectl as the administrator; returns what it printed.

        Raises:
            CallFailed: it ended with an error, or took longer than CALL_WITHIN_S.
        """
        return self._call("kubectl", arguments, input, environment)

    def helm(self, *arguments: str | Path) -> str:
        """Run Helm as the administrator; returns what it printed."""
        return self._call("helm", arguments, None, {})

    def apply(self, *objects: Body, namespace: str | None = None) -> None:
        """`kubectl apply` of the objects."""
        where = ["-n", namespace] if namespace else []
        document = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        self.kubectl("apply", *where, "-f", "-", input=json.dumps(document))

    def get(self, *what: str) -> Body:
        """`kubectl get … -o json`, read."""
        answer: Body = json.loads(self.kubectl("get", *what, "-o", "json"))
        return answer

    @property
    def http(self) -> httpx.Client:
        """A client with the administrator's rights, for what kubectl does not do."""
        if self._http is None:
            raise RuntimeError("the control plane is not running: call start() first")
        return self._http

    def ask(self, method: str, path: str, body: object = None, *, kind: str = "application/json") -> Body:
        """One API call; an answer of 400 or above raises CallFailed with the server's words.

        Args:
            kind: content type; a patch's says what kind of patch it is.
        """
        content = None if body is None else json.dumps(body)
        answer = self.http.request(method, path, content=content, headers={"Content-Type": kind})
        if answer.is_error:
            raise CallFailed(f"{method} {path}", answer.status_code, answer.text)
        read: Body = answer.json()
        return read

    def kubeconfig_for(self, namespace: str, account: str) -> Path:
        """A kubeconfig with a token of this ServiceAccount."""
        token = self.kubectl("create", "token", account, "-n", namespace).strip()
        place = self.directory / f"{namespace}-{account}.kubeconfig"
        self._write_kubeconfig(place, f"{namespace}-{account}", token)
        return place

    def until(self, what: str, holds: Callable[[], object], *, within_s: float = 60.0) -> None:
        """Wait for a fact that kubectl has no wait for.

        Raises:
            ClusterFailed: it did not come true in time.
        """
        deadline = time.monotonic() + within_s
        while not holds():
            if time.monotonic() > deadline:
                raise ClusterFailed(f"{what}: not so after {within_s:.0f} s")
            time.sleep(0.05)

    def add_node(
        self,
        name: str,
        *,
        cpu: str = "8",
        memory: str = "16Gi",
        managed_by_kwok: bool = True,
        labels: Mapping[str, str] | None = None,
        address: str = "",
    ) -> None:
        """Add a node and wait until pods can be placed on it.

        Args:
            managed_by_kwok: its pods become Ready and go away by themselves. False: nothing happens on it but what
                a test reports (`tests.testbed.kubelet`).
            address: its InternalIP.
        """
        size = {"cpu": cpu, "memory": memory, "pods": "110", "ephemeral-storage": "100Gi"}
        metadata: Body = {"name": name, "labels": {**nodes.labels_of(name), **(labels or {})}}
        if managed_by_kwok:
            metadata["annotations"] = {flags.KWOK_NODE: "fake"}
        self.ask(
            "POST", f"/api/v1/nodes?fieldManager={nodes.manager(managed_by_kwok)}", {"metadata": metadata}
        )
        status = {"capacity": size, "allocatable": size}
        if not managed_by_kwok:
            status = {**status, **nodes.healthy(name, address)}
        self.ask(
            "PATCH",
            f"/api/v1/nodes/{name}/status?fieldManager={nodes.manager(managed_by_kwok)}",
            {"status": status},
            kind="application/strategic-merge-patch+json",
        )
        self.kubectl("wait", "--for=condition=Ready", f"node/{name}", "--timeout=60s")
        self.until(
            f"node {name} open for pods", lambda: not nodes.closed(self.ask("GET", f"/api/v1/nodes/{name}"))
        )

    def remove_node(self, name: str) -> None:
        self.kubectl("delete", "node", name, "--wait=false")

    def add_storage_class(
        self, name: str, *, provisioner: str = "kubernetes.io/no-provisioner", **more: Any
    ) -> None:
        """A further StorageClass. KWOK provisions only DEFAULT_CLASS; here a test makes the volumes."""
        self.ask(
            "POST",
            "/apis/storage.k8s.io/v1/storageclasses",
            {"metadata": {"name": name}, "provisioner": provisioner, **more},
        )

    def add_volume(self, name: str, *, size: str, storage_class: str, **more: Any) -> None:
        """A PersistentVolume that a claim of that class and size may take."""
        spec = {
            "capacity": {"storage": size},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": storage_class,
            "hostPath": {"path": f"/nowhere/{name}"},
            **more,
        }
        self.ask("POST", "/api/v1/persistentvolumes", {"metadata": {"name": name}, "spec": spec})

    @contextlib.contextmanager
    def namespace(self, prefix: str = "test") -> Iterator[str]:
        """A namespace of one's own, usable at once (its default ServiceAccount is there); deleted afterwards."""
        name = f"{prefix}-{secrets.token_hex(4)}"
        self.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        self.until(f"namespace {name} with its ServiceAccount", lambda: self._has_account(name))
        try:
            yield name
        finally:
            self.kubectl("delete", "namespace", name, "--wait=false")

    # --- inside -----------------------------------------------------------------------------------------------

    def _start(self) -> None:
        self._make_directory()
        self._make_secrets()
        etcd, peer, api, kwok = free_ports(4)
        self.url, self.etcd_url = f"https://127.0.0.1:{api}", f"http://127.0.0.1:{etcd}"
        deadline = time.monotonic() + READY_WITHIN_S
        self._launch("etcd", *flags.etcd(self.directory, self.etcd_url, f"http://127.0.0.1:{peer}"))
        self._launch("kube-apiserver", *flags.apiserver(self.directory, self.etcd_url, api, self._advertise))
        self._wait(deadline, "kube-apiserver", self._answers)
        for user in ("admin", "controller-manager", "scheduler", "kwok"):
            self._write_kubeconfig(self.directory / f"{user}.kubeconfig", user, self._tokens[user])
        self._launch("kube-controller-manager", *flags.controller_manager(self.directory, self._controllers))
        self._launch("kube-scheduler", *flags.scheduler(self.directory))
        self._launch("kwok", *flags.kwok(self.directory, kwok, self._programs.stages))
        self._wait(deadline, "kube-controller-manager", lambda: self._has_account("default"))
        self.add_storage_class(
            DEFAULT_CLASS, provisioner="kwok.x-k8s.io/volume", reclaimPolicy="Delete", volumeBindingMode="Immediate"
        )  # fmt: skip

    def _make_directory(self) -> None:
        """Below it lie the keys, so only its owner may enter."""
        if self._given is None:
            _sweep()
            self._directory = Path(tempfile.mkdtemp(prefix=PREFIX))
        else:
            self._given.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._directory = self._given.absolute()
        self._lock = (self._directory / "lock").open("ab")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            taken, self._directory, self._lock = self._directory, None, None
            raise ClusterFailed(
                f"{taken} belongs to a control plane that is running: choose another --dir"
            ) from None
        # Of an earlier run in a given directory: its data would not fit the new keys.
        shutil.rmtree(self._directory / "etcd", ignore_errors=True)
        shutil.rmtree(self._directory / "certificates", ignore_errors=True)
        (self._directory / "logs").mkdir(exist_ok=True)

    def _make_secrets(self) -> None:
        users = {
            "admin": ("kubernetes-admin", "system:masters"),
            "controller-manager": ("system:kube-controller-manager", ""),
            "scheduler": ("system:kube-scheduler", ""),
            "kwok": ("kwok", "system:masters"),
        }
        self._tokens = {user: secrets.token_urlsafe(32) for user in users}
        lines = [f'{self._tokens[user]},{name},{user},"{groups}"' for user, (name, groups) in users.items()]
        _write_secret(self.directory / "tokens.csv", "\n".join(lines) + "\n")
        _write_secret(self.directory / "accounts.key", _private_key())

    def _write_kubeconfig(self, place: Path, user: str, token: str, url: str = "") -> None:
        authority = b64encode(flags.certificate(self.directory).read_bytes()).decode()
        name = "kubernaut-testbed"
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": name,
                    "cluster": {"server": url or self.url, "certificate-authority-data": authority},
                }
            ],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
            "current-context": name,
        }
        _write_secret(place, json.dumps(document, indent=2))

    def _launch(self, name: str, *arguments: str) -> None:
        log = self.directory / "logs" / f"{name}.log"
        with log.open("ab") as out:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-I",
                    "-S",
                    launch.__file__,
                    str(os.getpid()),
                    str(self.program(name)),
                    *arguments,
                ],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=self.directory,
                env={"HOME": str(self.directory), "PATH": "/usr/bin:/bin", "TZ": "UTC"},
                start_new_session=True,  # Ctrl-C is for the owner, who stops them in order
            )
        self._running.append(_Running(name, arguments, process, log))

    def _wait(self, deadline: float, name: str, holds: Callable[[], bool]) -> None:
        """Wait for a program's work; whichever ends meanwhile is the reason that is given."""
        while not holds():
            for running in self._running:
                if (code := running.process.poll()) is not None:
                    raise ClusterFailed(f"{running.name} ended at once ({code}): {_tail(running.log)}")
            if time.monotonic() > deadline:
                log = next(running.log for running in self._running if running.name == name)
                raise ClusterFailed(f"{name} is not ready after {READY_WITHIN_S:.0f} s: {_tail(log)}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        certificate = flags.certificate(self.directory)
        if not certificate.is_file():
            return False
        if self._http is None:
            try:
                self._http = _client(self.url, certificate, self._tokens["admin"])
            except OSError:  # written at this moment
                return False
        try:
            return self._http.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def _has_account(self, namespace: str) -> bool:
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/default"
        return self.http.get(path).status_code == 200

    def _call(
        self, name: str, arguments: Sequence[str | Path], given: str | None, environment: Mapping[str, str]
    ) -> str:
        words = [str(word) for word in arguments]
        try:
            done = subprocess.run(
                [str(self.program(name)), *words],
                input=given,
                stdin=subprocess.DEVNULL if given is None else None,
                capture_output=True,
                text=True,
                timeout=CALL_WITHIN_S,
                cwd=self.directory,
                # Nothing of the caller's: neither a kubeconfig, nor a cache, nor a Helm repository.
                env={
                    "HOME": str(self.directory),
                    "PATH": "/usr/bin:/bin",
                    "KUBECONFIG": str(self.kubeconfig),
                    **environment,
                },
            )
        except subprocess.TimeoutExpired as error:
            raise CallFailed(
                f"{name} {' '.join(words)}", -1, f"no end after {CALL_WITHIN_S:.0f} s"
            ) from error
        if done.returncode:
            raise CallFailed(f"{name} {' '.join(words)}", done.returncode, done.stderr.strip())
        return done.stdout


# --- small parts --------------------------------------------------------------------------------------------------


def _client(url: str, authority: Path, token: str) -> httpx.Client:
    return httpx.Client(
        base_url=url,
        verify=ssl.create_default_context(cafile=str(authority)),
        headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
        timeout=30,
        trust_env=False,
    )


def _private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    encoding = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    return key.private_bytes(encoding, serialization.PrivateFormat.TraditionalOpenSSL, plain).decode()


def _write_secret(place: Path, text: str) -> None:
    place.unlink(missing_ok=True)
    with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def _end(process: subprocess.Popen[bytes]) -> None:
    for word in _ENDING:
        if process.poll() is None:
            process.send_signal(word)
        try:
            process.wait(timeout=STOP_WITHIN_S)
            return
        except subprocess.TimeoutExpired:
            continue


def _tail(log: Path, lines: int = 8) -> str:
    said = log.read_text(errors="replace").splitlines()[-lines:]
    return " | ".join(said)[-2000:] or "its log is empty"


def _sweep() -> None:
    """Remove the directories of control planes whose owner was killed: their lock is free."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            with (left / "lock").open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
        except OSError:  # held, or another user's, or just being made
            continue
