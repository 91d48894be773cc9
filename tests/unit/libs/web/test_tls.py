"""Which pair of files is shown, what is refused and why, and what is said when a certificate nears its end."""

from __future__ import annotations

import shutil
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from libs.metrics import Metrics
from libs.web import tls
from libs.web.tls import (
    MAX_FILE,
    CertificateFiles,
    ServingCertificate,
    Standing,
    UnusableCertificate,
    read,
    standing,
)
from tests.support.certificates import Certificate, MountedSecret, certificate, put

pytestmark = pytest.mark.requirement("HAPI-053", "HAPI-071")

NOW = datetime(2026, 11, 27, tzinfo=UTC)


class Lines:
    """What was logged: level, event, fields."""

    def __init__(self) -> None:
        self.written: list[tuple[str, str, dict[str, Any]]] = []

    def __getattr__(self, level: str):
        return lambda event, **fields: self.written.append((level, event, fields))

    @property
    def events(self) -> list[tuple[str, str]]:
        return [(level, event) for level, event, _ in self.written]


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Lines:
    lines = Lines()
    monkeypatch.setattr(tls, "_log", lines)
    return lines


@pytest.fixture
def first(tmp_path: Path) -> Certificate:
    return certificate(tmp_path / "first", days=30)


@pytest.fixture
def second(tmp_path: Path) -> Certificate:
    return certificate(tmp_path / "second", days=60)


@pytest.fixture
def files(tmp_path: Path, first: Certificate) -> CertificateFiles:
    """Files of their own, to be written over."""
    here = tmp_path / "here"
    here.mkdir()
    return CertificateFiles(
        Path(shutil.copy(first.chain, here / "tls.crt")), Path(shutil.copy(first.key, here / "tls.key"))
    )


def shown(context: ssl.SSLContext) -> int:
    """The serial number that a new handshake is shown; both of its sides are here."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    caller = client.wrap_bio(to_client, to_server)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(5):
        for side in (caller, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return x509.load_der_x509_certificate(caller.getpeercert(binary_form=True) or b"").serial_number


@pytest.mark.parametrize(
    ("left", "means"),
    [
        (timedelta(days=7), Standing.lasting),
        (timedelta(days=7, seconds=-1), Standing.ends_soon),
        (timedelta(0), Standing.ends_soon),
        (timedelta(seconds=-1), Standing.ended),
    ],
)
def test_a_certificates_end_is_near_in_its_last_seven_days(left, means):
    assert standing(NOW + left, NOW) is means


def test_a_pair_that_fits_is_shown_with_its_end(first):
    found = read(CertificateFiles(first.chain, first.key))

    assert shown(found.context) == first.serial == int(found.serial, 16)
    assert timedelta(days=29) < found.ends - datetime.now(UTC) < timedelta(days=30)


def test_nothing_older_than_tls_1_2_is_spoken(first):
    context = read(CertificateFiles(first.chain, first.key)).context

    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert context.verify_mode is ssl.CERT_NONE, "callers are known by their credential"


def encrypted(files: CertificateFiles) -> None:
    key = serialization.load_pem_private_key(files.key.read_bytes(), password=None)
    files.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"a passphrase"),
        )
    )


def of_another_kind(files: CertificateFiles) -> None:
    files.key.write_bytes(
        rsa.generate_private_key(65537, 2048).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


def of_another(files: CertificateFiles) -> None:
    files.key.write_bytes(certificate(files.key.parent / "another").key.read_bytes())


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        pytest.param(lambda f: f.chain.unlink(), "TLS_CERT_FILE .*No such file", id="no certificate"),
        pytest.param(lambda f: f.key.unlink(), "TLS_KEY_FILE .*No such file", id="no key"),
        pytest.param(lambda f: f.chain.write_text("x"), "TLS_CERT_FILE .*no certificate in PEM", id="no PEM"),
        pytest.param(
            lambda f: f.chain.write_bytes(f.chain.read_bytes()[:200]),
            "TLS_CERT_FILE .*no certificate in PEM",
            id="half a certificate",
        ),
        pytest.param(lambda f: f.key.write_text("secret"), "TLS_KEY_FILE .*must be PEM", id="no key in it"),
        pytest.param(
            lambda f: f.key.write_bytes(f.key.read_bytes()[:80]),
            "TLS_KEY_FILE .*must be PEM",
            id="half a key",
        ),
        pytest.param(of_another, "TLS_KEY_FILE .*is not the key of", id="another's key"),
        pytest.param(of_another_kind, "TLS_KEY_FILE .*is not the key of", id="another kind of key"),
        pytest.param(encrypted, "TLS_KEY_FILE .*without a passphrase", id="encrypted key"),
        pytest.param(
            lambda f: f.key.write_bytes(b"x" * (MAX_FILE + 1)), "TLS_KEY_FILE .*right file", id="too large"
        ),
    ],
)
def test_a_pair_that_cannot_be_shown_is_refused_with_its_file_and_remedy(files, spoil, said):
    spoil(files)

    with pytest.raises(UnusableCertificate, match=said) as refused:
        read(files)

    assert "secret" not in str(refused.value)
    assert "PRIVATE" not in str(refused.value)


def test_files_that_did_not_change_are_not_read_again(files, monkeypatch):
    serving = ServingCertificate(files, Metrics("a"))
    monkeypatch.setattr(tls, "read", lambda _: pytest.fail("nothing had changed"))

    serving.look()


def test_a_replaced_pair_is_shown_to_the_next_handshake_of_the_same_context(files, first, second, log):
    metrics = Metrics("a")
    serving = ServingCertificate(files, metrics)
    context = serving.context
    assert shown(context) == first.serial

    put(second.chain, files.chain)
    put(second.key, files.key)
    serving.look()

    assert shown(context) == second.serial
    assert ("info", "certificate-taken") in log.events
    assert 'replacements_total{outcome="taken"} 1.0' in metrics.exposition().decode()


def test_a_secrets_swapped_link_is_a_change(tmp_path, first, second):
    mounted = MountedSecret(tmp_path / "mounted", first)
    serving = ServingCertificate(CertificateFiles(mounted.chain, mounted.key), Metrics("a"))

    mounted.replace(second)
    serving.look()

    assert shown(serving.context) == second.serial


def test_half_a_pair_is_refused_once_and_the_other_half_mends_it(files, first, second, log):
    metrics = Metrics("a")
    serving = ServingCertificate(files, metrics)

    put(second.chain, files.chain)
    serving.look()
    serving.look()

    assert shown(serving.context) == first.serial
    assert log.events == [("error", "certificate-refused")]
    assert "is not the key of" in log.written[0][2]["reason"]
    assert 'replacements_total{outcome="refused"} 1.0' in metrics.exposition().decode()

    put(second.key, files.key)
    serving.look()

    assert shown(serving.context) == second.serial


def test_a_pair_that_became_whole_without_a_new_stamp_is_taken_all_the_same(
    files, first, second, monkeypatch
):
    serving = ServingCertificate(files, Metrics("a"))
    put(second.chain, files.chain)
    serving.look()
    same = files.stamps()
    monkeypatch.setattr(CertificateFiles, "stamps", lambda _: same)

    put(second.key, files.key)
    serving.look()

    assert shown(serving.context) == second.serial


def test_files_that_went_away_leave_the_old_certificate_and_come_back(files, first, second):
    serving = ServingCertificate(files, Metrics("a"))
    files.chain.unlink()
    files.key.unlink()
    serving.look()
    assert shown(serving.context) == first.serial

    put(second.chain, files.chain)
    put(second.key, files.key)
    serving.look()

    assert shown(serving.context) == second.serial


def test_an_ended_certificate_does_not_replace_one_that_is_believed(tmp_path, files, first, log):
    serving = ServingCertificate(files, Metrics("a"))
    ended = certificate(tmp_path / "ended", days=-1)

    put(ended.chain, files.chain)
    put(ended.key, files.key)
    serving.look()

    assert shown(serving.context) == first.serial
    assert "ended at" in log.written[0][2]["reason"]


def test_the_end_is_a_metric_and_follows_the_certificate(files, second):
    def end() -> float:
        (family,) = metrics.collect("kubernaut_tls_certificate_end_timestamp_seconds")
        return family.samples[0].value

    metrics = Metrics("a")
    serving = ServingCertificate(files, metrics)
    before = end()
    put(second.chain, files.chain)
    put(second.key, files.key)
    serving.look()

    assert end() - before == pytest.approx(timedelta(days=30).total_seconds(), abs=60)


def test_a_certificate_near_its_end_is_said_once_a_day_and_its_end_as_an_error(files, log):
    now = datetime.now(UTC)

    def clock() -> datetime:
        return now

    serving = ServingCertificate(files, Metrics("a"), now=clock)
    serving.look()
    assert log.events == []

    now += timedelta(days=25)
    for _ in range(3):
        serving.look()
    assert log.events == [("warning", "certificate-ends-soon")]

    now += timedelta(days=1)
    serving.look()
    assert log.events == [("warning", "certificate-ends-soon")] * 2

    now += timedelta(days=5)
    serving.look()
    assert log.events[2:] == [("error", "certificate-ended")]
    assert log.written[2][2]["file"] == str(files.chain)
