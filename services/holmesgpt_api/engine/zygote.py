"""The zygote: imports HolmesGPT once, then forks children, reaps them, and kills them when told to.

It never talks to a model. Children forked after their parent had called one shared its connection and read each
other's answers (measured); what a process has never had it cannot pass on.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import importlib.metadata
import os
import resource
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable

from services.holmesgpt_api.engine.confinement import Unconfined, confine, narrows
from services.holmesgpt_api.engine.framing import BadFrame, Closed, receive_with_socket, send
from services.holmesgpt_api.engine.messages import (
    PROTOCOL,
    SAID,
    SDK,
    TO_ZYGOTE,
    Broken,
    Confinement,
    Ended,
    Hello,
    Kill,
    Ready,
    Start,
    Started,
)

Live = Callable[[socket.socket], int]
"""A child's life, from its socket to its exit code."""

IN_THE_FIRST_CALL = (
    "jiter",
    "openai.resources.chat",
    "openai.lib.streaming.chat",
    "litellm.integrations.prometheus_services",
    "litellm.litellm_core_utils.get_supported_openai_params",
    "litellm.llms.litellm_proxy.chat.transformation",
    "litellm.llms.openai.chat.gpt_audio_transformation",
    "litellm.llms.openai_like.dynamic_config",
    "litellm.llms.vertex_ai.vertex_ai_partner_models.anthropic.transformation",
    "litellm.proxy.openai_files_endpoints.common_utils",
)
"""What the model's client imports with its first question: 467 modules and a second of CPU, once per child if it
were left to the children (measured)."""

KEPT_OUT_REMEDY = (
    "the kernel keeps the engine from it: put it where the engine may read, name it in a variable of "
    "HOLMESGPT_ENGINE_ENVIRONMENT, or set HOLMESGPT_ENGINE_CONFINEMENT=off"
)
UNCONFINED_REMEDY = "run it where there is, or set HOLMESGPT_ENGINE_CONFINEMENT=auto"

PR_SET_PDEATHSIG = 1

MEMORY_FIRST = "500"
"""Of -1000 to 1000: when memory runs out a run is ended before a service is."""


def main(descriptor: int, wanted: str = "") -> int:
    """Args:
    wanted: a `Confinement`, as JSON.
    """
    control = socket.socket(fileno=descriptor)
    sdk = _sdk()
    send(control, Hello(protocol=PROTOCOL, sdk=sdk, pid=os.getpid()))
    if sdk != SDK:
        return os.EX_UNAVAILABLE  # the service says what to do about it
    began = time.monotonic()
    confined = 0
    try:
        confinement = Confinement.model_validate_json(wanted)
        confined = confine(confinement)
        live = _prepare(confinement.ports if narrows(confined) else None)
    except Unconfined as error:
        send(control, Broken(detail=str(error), remedy=UNCONFINED_REMEDY))
        return os.EX_CONFIG
    except Exception as error:
        remedy = KEPT_OUT_REMEDY if confined and isinstance(error, PermissionError) else ""
        send(control, Broken(detail=f"{type(error).__name__}: {error}"[:SAID], remedy=remedy))
        return os.EX_SOFTWARE
    gc.collect()
    gc.freeze()  # children would otherwise copy every page whose counters the collector touches
    send(control, Ready(took_s=round(time.monotonic() - began, 2), rss_kb=_rss_kb(), confined=confined))
    Zygote(control, live).serve()
    return os.EX_OK


def _sdk() -> str:
    try:
        return importlib.metadata.version("holmesgpt")
    except importlib.metadata.PackageNotFoundError:
        return ""


def _prepare(ports: list[int] | None) -> Live:
    """Imports everything a run needs, so that a child begins with all of it.

    Args:
        ports: that children may connect to, beside those their runs need; None: to any.
    """
    from litellm.llms.custom_httpx.http_handler import get_ssl_configuration

    from services.holmesgpt_api.engine.child import live
    from services.holmesgpt_api.engine.context import trusted
    from services.holmesgpt_api.engine.llm import quieten
    from services.holmesgpt_api.engine.tools import executor
    from services.holmesgpt_api.engine.warm import warm

    for name in IN_THE_FIRST_CALL:
        importlib.import_module(name)
    quieten()
    trusted(None)
    get_ssl_configuration()  # kept by litellm, and inherited by children
    tools = executor()
    warm(tools)
    return lambda sock: live(sock, tools, ports)


def _rss_kb() -> int:
    try:
        with open("/proc/self/statm", "rb") as numbers:
            return int(numbers.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak // 1024 if sys.platform == "darwin" else peak


class Zygote:
    def __init__(self, control: socket.socket, live: Live) -> None:
        self._control, self._live = control, live
        self._pids: dict[int, str] = {}
        self._woken, wake = os.pipe()
        for end in (self._woken, wake):
            os.set_blocking(end, False)
        self._wake = wake
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's; the service says when to end

    def serve(self) -> None:
        """Until the service closes its end; then every child ends too."""
        selector = selectors.DefaultSelector()
        selector.register(self._control, selectors.EVENT_READ)
        selector.register(self._woken, selectors.EVENT_READ)
        try:
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._control:
                        self._obey()
                    else:
                        self._reap()
        except (Closed, BadFrame):
            pass
        finally:
            for pid in self._pids:
                os.kill(pid, signal.SIGKILL)

    def _obey(self) -> None:
        message, sock = receive_with_socket(self._control, TO_ZYGOTE)
        match message:
            case Start(child=child) if sock is not None:
                with sock:
                    self._fork(child, sock)
            case Kill(child=child):
                for pid, its in self._pids.items():
                    if its == child:
                        os.kill(pid, signal.SIGKILL)

    def _fork(self, child: str, sock: socket.socket) -> None:
        zygote = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            sys.stderr.write(f"no child could be forked: {error.strerror}\n")
            send(self._control, Ended(child=child, code=os.EX_OSERR))
            return
        if pid == 0:
            os._exit(self._child(sock, zygote))
        self._pids[pid] = child
        send(self._control, Started(child=child, pid=pid))

    def _child(self, sock: socket.socket, zygote: int) -> int:
        try:
            _die_with(zygote)
            signal.set_wakeup_fd(-1)
            for one in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM):
                signal.signal(one, signal.SIG_DFL)
            self._control.close()
            os.close(self._woken)
            os.close(self._wake)
            _spend_me_first()
            return self._live(sock)
        except BaseException as error:
            sys.stderr.write(f"child: {type(error).__name__}\n")
            return os.EX_SOFTWARE

    def _reap(self) -> None:
        try:
            while os.read(self._woken, 4096):
                pass
        except BlockingIOError:
            pass
        while self._pids:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if pid == 0:
                return
            child = self._pids.pop(pid)
            code = os.waitstatus_to_exitcode(status)
            send(self._control, Ended(child=child, code=code, max_rss_kb=usage.ru_maxrss))


def _die_with(zygote: int) -> None:
    """Where the system can: at once. Elsewhere a child notices that it has another parent within a second."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != zygote:  # it died before that was asked for
        os._exit(os.EX_NOINPUT)


def _spend_me_first() -> None:
    try:
        with open("/proc/self/oom_score_adj", "w") as score:
            score.write(MEMORY_FIRST)
    except OSError:
        return  # no Linux, or not ours to say
