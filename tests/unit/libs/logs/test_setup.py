"""Structlog and the standard library write one stream of the same lines."""

from __future__ import annotations

import json
import logging

import pytest
import structlog

from libs.logs import configure_logging, get_logger
from libs.logs.context import RequestContext, current_request

pytestmark = pytest.mark.requirement("HAPI-063", "HAPI-072", "API-BR-SEC-012")


@pytest.fixture(autouse=True)
def logging_as_it_was():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(capfd) -> list[dict]:
    return [json.loads(line) for line in capfd.readouterr().err.splitlines()]


def test_a_line_is_one_json_document_with_service_component_level_and_time(capfd):
    configure_logging(service="alerts", style="json")

    get_logger("inbox").info("taken", alerts=3)

    (line,) = lines(capfd)
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "taken", "alerts": 3, "service": "alerts", "component": "inbox", "level": "info"}


def test_the_standard_librarys_loggers_write_the_same_lines(capfd):
    configure_logging(service="alerts", style="json")

    logging.getLogger("alembic.runtime.migration").warning("upgrade %s", "0001")

    (line,) = lines(capfd)
    assert (line["event"], line["component"], line["level"]) == (
        "upgrade 0001",
        "alembic.runtime.migration",
        "warning",
    )


def test_a_librarys_own_mistake_in_a_message_is_logged_and_raises_nothing(capfd):
    configure_logging(service="alerts", style="json")

    logging.getLogger("library").error("%d rows", "three")

    assert "three" in lines(capfd)[0]["event"]


def test_an_exception_comes_with_its_traceback_and_without_its_secret(capfd):
    configure_logging(service="alerts", style="json")

    try:
        raise ConnectionError("postgresql://alerts:hunter2@db/alerts")
    except ConnectionError:
        get_logger("inbox").exception("away")

    (line,) = lines(capfd)
    assert "Traceback" in line["exception"]
    assert "hunter2" not in json.dumps(line)


def test_lines_below_the_level_are_not_written(capfd):
    configure_logging(service="alerts", style="json", level="warning")

    get_logger("inbox").info("quiet")
    logging.getLogger("library").info("quiet")

    assert lines(capfd) == []


def test_a_line_written_for_a_request_carries_its_id_and_trace(capfd):
    configure_logging(service="alerts", style="json")
    token = current_request.set(RequestContext("r-1", f"00-{'a' * 32}-{'b' * 16}-01"))

    get_logger("inbox").info("taken")
    current_request.reset(token)

    (line,) = lines(capfd)
    assert (line["request_id"], line["trace_id"]) == ("r-1", "a" * 32)


def test_what_json_does_not_know_is_written_as_text(capfd):
    configure_logging(service="alerts", style="json")

    get_logger("inbox").info("odd", thing=object(), numbers={1: "one"})

    assert lines(capfd)[0]["numbers"] == {"1": "one"}


def test_on_a_terminal_a_line_is_readable_and_as_clean(capfd):
    configure_logging(service="alerts", style="console")

    get_logger("inbox").info("taken", token="hunter2", label="a\x1b[2Jb")

    said = capfd.readouterr().err
    assert "taken" in said
    assert "hunter2" not in said
    assert "\x1b[2J" not in said


def test_away_from_a_terminal_auto_means_json(capfd):
    configure_logging(service="alerts", style="auto")

    get_logger("inbox").info("taken")

    assert lines(capfd)[0]["event"] == "taken"
