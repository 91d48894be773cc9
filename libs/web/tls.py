"""Which certificate this process shows at its own ports, and how a replaced one is taken up without a restart.

    two files ── read ──► Shown: a context of its own, and when its certificate ends ── put in force ──► next handshake

A context that is in use is never changed: `load_cert_chain` puts the certificate in before it looks at the key, so a
pair that does not fit would leave it with neither, and it would do so in a thread, beside handshakes. Each handshake is
told instead, when its first message has been read, in which context its certificate lies. Those under way and open
connections keep what they have.

What a caller may do is decided by its credential (libs.auth); a certificate of its own is not asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import NoReturn, Self

from cryptography import x509

from libs.auth.reload import LOOK_EVERY_S, Stamp, stamp_of
from libs.logs import get_logger
from libs.metrics import Metrics

MAX_FILE = 1024 * 1024
"""Bytes. A Secret of Kubernetes holds no more; a wrong mount (a log, a disk image) does."""

ENDS_SOON = timedelta(days=7)
"""cert-manager renews when a third of a certificate's life is left; one of the usual 90 days then missed three weeks."""

SAY_AGAIN = timedelta(days=1)
"""A certificate that nobody renews is said this often: not lost among others, and no flood."""

OF_OTHER_KEYS = frozenset({"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"})
"""OpenSSL's words for a certificate and a key that do not belong together; the last one when their kinds differ."""

_log = get_logger("tls")


class UnusableCertificate(Exception):
    """A pair of files that cannot be shown; the message names the file and what would be right, never a key."""


class Standing(StrEnum):
    """What the end of a certificate means now."""

    lasting = "lasting"
    ends_soon = "ends-soon"
    ended = "ended"


def standing(ends: datetime, now: datetime) -> Standing:
    """`ends` is the last moment at which callers believe the certificate."""
    if now > ends:
        return Standing.ended
    return Standing.ends_soon if ends - now < ENDS_SOON else Standing.lasting


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Where the pair lies: PEM, the server's certificate first, then those of whoever signed it."""

    chain: Path
    key: Path

    def stamps(self) -> tuple[Stamp, Stamp]:
        """Other than before when either file was written or its link was swapped."""
        return stamp_of(self.chain), stamp_of(self.key)


@dataclass(frozen=True, slots=True)
class Shown:
    """A pair that fits."""

    context: ssl.SSLContext
    ends: datetime
    serial: str
    """In hexadecimal, as `openssl x509 -serial` prints it."""


def read(files: CertificateFiles) -> Shown:
    """The pair as it lies there now.

    Raises:
        UnusableCertificate
    """

    def nobody_to_ask() -> NoReturn:
        raise UnusableCertificate(f"TLS_KEY_FILE {files.key} is encrypted; give the key without a passphrase")

    leaf = _first(files.chain)
    _content("TLS_KEY_FILE", files.key)  # OpenSSL does not say which of the two it could not open
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # a caller could have us compute without end
    try:
        context.load_cert_chain(files.chain, files.key, password=nobody_to_ask)
    except ssl.SSLError as error:
        raise UnusableCertificate(_why_not(files, error)) from error
    except OSError as error:
        raise UnusableCertificate(f"{files.chain} or {files.key} went away while being read") from error
    return Shown(context, leaf.not_valid_after_utc, f"{leaf.serial_number:X}")


def _first(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(_content("TLS_CERT_FILE", path))[0]
    except ValueError as error:
        raise UnusableCertificate(f"TLS_CERT_FILE {path} holds no certificate in PEM") from error


def _content(setting: str, path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE + 1)
    except OSError as error:
        raise UnusableCertificate(f"{setting} {path}: {error.strerror or type(error).__name__}") from error
    if len(content) > MAX_FILE:
        raise UnusableCertificate(
            f"{setting} {path} is larger than {MAX_FILE} bytes; is this the right file?"
        )
    return content


def _why_not(files: CertificateFiles, error: ssl.SSLError) -> str:
    if error.reason in OF_OTHER_KEYS:
        return (
            f"TLS_KEY_FILE {files.key} is not the key of the first certificate in TLS_CERT_FILE {files.chain}"
        )
    said = error.reason or "without a reason"
    return f"OpenSSL refuses TLS_CERT_FILE {files.chain} with TLS_KEY_FILE {files.key} ({said}); both must be PEM"


class ServingCertificate:
    """What is shown now. Begins with files that are usable; whatever lies there later, only usable pairs follow."""

    def __init__(
        self,
        files: CertificateFiles,
        metrics: Metrics,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Read the files. Blocks: for a thread, or before there is a loop.

        Raises:
            UnusableCertificate
        """
        self._files, self._now = files, now
        self._seen = files.stamps()
        self._refused: str | None = None
        self._told: tuple[Standing, datetime] | None = None
        self._ends = metrics.gauge(
            "kubernaut_tls_certificate_end_timestamp_seconds",
            "Until when the certificate that this process shows is valid, Unix time.",
        )
        self._replaced = metrics.counter(
            "kubernaut_tls_certificate_replacements_total",
            "Changed certificate files: taken, or refused while the old certificate went on being shown.",
            {"outcome": ("taken", "refused")},
        )
        self._shown = read(files)
        self._ends.set(self._shown.ends.timestamp())
        self.context = self._shown.context
        """What listeners are opened with, once; it always shows the newest certificate."""
        self.context.sni_callback = self._show

    def look(self) -> None:
        """Take what the files hold when they have changed; say how long it lasts. Blocks: for a thread."""
        stamps = self._files.stamps()
        # A refused pair is tried each time: half of it may have been written within one tick of the file's clock.
        if stamps != self._seen or self._refused is not None:
            self._seen = stamps
            self._replace()
        self._tell(self._now())

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[Self]:
        """Looked after while the block runs."""
        watch = asyncio.create_task(self._watch(), name="certificate")
        try:
            yield self
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self.look)
            except (
                Exception
            ) as error:  # ended by a fault that nobody foresaw, it would let the certificate end too
                _log.error("certificate-not-looked-at", reason=type(error).__name__, exc_info=error)
            await asyncio.sleep(LOOK_EVERY_S)

    def _show(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._shown.context

    def _replace(self) -> None:
        try:
            new = read(self._files)
            self._compare(new)
        except UnusableCertificate as error:
            if str(error) != self._refused:
                self._replaced.inc(outcome="refused")
                _log.error(
                    "certificate-refused",
                    reason=str(error),
                    kept="the old one",
                    kept_ends=self._shown.ends.isoformat(),
                )
            self._refused = str(error)
            return
        self._refused = self._told = None
        self._shown = new
        self._ends.set(new.ends.timestamp())
        self._replaced.inc(outcome="taken")
        _log.info("certificate-taken", ends=new.ends.isoformat(), serial=new.serial)

    def _compare(self, new: Shown) -> None:
        """An ended certificate in place of one that is believed would only make callers go away."""
        now = self._now()
        if (
            standing(new.ends, now) is Standing.ended
            and standing(self._shown.ends, now) is not Standing.ended
        ):
            raise UnusableCertificate(f"TLS_CERT_FILE {self._files.chain}: ended at {new.ends.isoformat()}")

    def _tell(self, now: datetime) -> None:
        found = standing(self._shown.ends, now)
        if found is Standing.lasting or not self._is_news(found, now):
            return
        self._told = (found, now)
        say = _log.error if found is Standing.ended else _log.warning
        say(f"certificate-{found}", ends=self._shown.ends.isoformat(), file=str(self._files.chain))

    def _is_news(self, found: Standing, now: datetime) -> bool:
        return self._told is None or self._told[0] is not found or now - self._told[1] >= SAY_AGAIN
