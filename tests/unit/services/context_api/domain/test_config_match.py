"""Which setting an error line speaks of."""

from __future__ import annotations

import pytest

from services.context_api.domain.changes import FieldChange
from services.context_api.domain.config_match import (
    absent_variables,
    doubted,
    in_config,
    speaks_of,
    spelled_out,
    words_in,
)
from services.context_api.domain.logs import Line
from services.context_api.domain.references import Reference
from tests.support.kube import config_map, kube

pytestmark = pytest.mark.requirement("API-BR-CAPI-007")

FROM = Reference("ConfigMap", "c", "envFrom of container app")
FILE = Reference("ConfigMap", "c", "volume v at /etc/app", paths=("/etc/app",))


def said(*texts: str, weight: int = 2) -> list[Line]:
    return [Line(text, 1, weight) for text in texts]


@pytest.mark.parametrize(
    ("use", "data", "line", "shown"),
    [
        (FROM, {"LOG_LEVEL": "verbos"}, "invalid LOG_LEVEL", "LOG_LEVEL=verbos"),
        (FROM, {"MODE": "turbo9"}, "unknown mode 'turbo9'", "MODE=turbo9"),
        (
            FILE,
            {"a.conf": "x = 1\nmax_conns = 10O\n"},
            'invalid value for parameter "max_conns"',
            "max_conns = 10O",
        ),
        (FILE, {"a.conf": "x = 1\n"}, "cannot parse /etc/app/a.conf: line 1", "file /etc/app/a.conf"),
    ],
)
def test_the_setting_is_found_by_name_by_value_or_by_file(use, data, line: str, shown: str):
    match = in_config(kube(config_map("c", **data)), [use], said(line))

    assert match
    assert match.shown == shown


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        ({"LOG_LEVEL": "info"}, said("ERROR: out of cheese")),
        ({"LOG_LEVEL": "info"}, said("invalid LOG_LEVEL", weight=1)),
        ({"a.conf": "# max_conns = 1\n"}, said('unknown option "max_conns"')),
        ({"a.conf": "max_conns_total = 1\n"}, said('unknown option "max_conns"')),
        ({}, said("invalid LOG_LEVEL")),
    ],
    ids=["another matter", "no error", "commented out", "part of a longer word", "empty"],
)
def test_nothing_is_found_by_chance(data, lines):
    assert (
        in_config(kube(config_map("c", **data)), [FILE, FROM] if "LOG_LEVEL" not in data else [FROM], lines)
        is None
    )


def test_common_words_are_not_named():
    assert set(words_in(said("error in 'config': option \"retries\" of 'server'"))) == {"retries"}


def test_variables_that_are_missing_are_told_from_those_that_are_wrong():
    assert set(absent_variables(said("DATABASE_URL is required", "bad LOG_LEVEL"))) == {"DATABASE_URL"}


def test_a_change_is_spoken_of_by_its_new_value_first():
    change = FieldChange("app.conf", "size = 512MB", "size = 2Gigs")

    assert speaks_of([change], said("file app.conf has errors", "invalid size 2Gigs")) == "invalid size 2Gigs"
    assert speaks_of([change], said("file app.conf has errors")) == "file app.conf has errors"
    assert speaks_of([change], said("nothing to see")) == ""


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("use-proxy-protocol", 'broken header: "GET /" while reading PROXY protocol'),
        ("maxRequestSize", "413: max request size exceeded"),
        ("enable_client_certificates", "no required client-certificates were sent"),
    ],
)
def test_a_setting_is_known_by_its_name_in_words(key: str, line: str):
    assert spelled_out(key, "true", said(line)) == line


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("use-proxy-protocol", "false", "while reading PROXY protocol"),
        ("protocol", "tcp", "while reading PROXY protocol"),
        ("log-file", "x", "cannot open log file"),
        ("use-proxy-protocol", "true", "while reading PROXY protocols"),
    ],
    ids=["it is off", "one word is said by chance", "so are short ones", "another word"],
)
def test_other_words_are_no_setting(key: str, value: str, line: str):
    assert spelled_out(key, value, said(line)) == ""


def test_only_errors_complain():
    assert spelled_out("use-proxy-protocol", "true", said("PROXY protocol is on", weight=0)) == ""


DOUBT = "2026-01-01 [WARNING][57] int_dataplane.go: Configured MTU is larger than the host's hostMTU=1460 mtu=1500"


@pytest.mark.parametrize(
    ("key", "value", "line", "heard"),
    [
        ("veth_mtu", "1500", DOUBT, True),
        ("veth_mtu", "1450", DOUBT, False),
        ("veth_size", "1500", DOUBT, False),
        ("veth_mtu", "1500", DOUBT.replace("WARNING", "INFO"), False),
        ("LOG_LEVEL", "warn", "level=warn msg=slow", False),
        ("cacheEnabled", "true", "WARN cache is cold enabled=true", False),
    ],
    ids=["a warning with name and value", "another value", "another name", "no warning", "how logs are written", "a switch"],
)  # fmt: skip
def test_a_warning_counts_that_repeats_a_setting_with_its_value(key: str, value: str, line: str, heard: bool):
    assert bool(doubted(key, value, [line])) is heard
