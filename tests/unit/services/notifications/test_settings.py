from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from libs.contracts.notifications import Channel
from services.notifications.settings import Settings

pytestmark = pytest.mark.requirement("INT-BR-CFG-002", "INT-BR-SEC-014")

MAIL = {"SMTP_HOST": "mail", "EMAIL_FROM": "kubernaut@x.org"}


def settings(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Settings:
    for name, value in {"DATABASE_URL": "postgresql://h/d", **environment}.items():
        monkeypatch.setenv(name, value)
    return Settings()


def test_without_any_setting_only_the_console_is_there(monkeypatch: pytest.MonkeyPatch):
    read = settings(monkeypatch)

    assert read.default_channels() == [Channel.console]
    assert (read.port, read.metrics_port) == (8093, 9094)


def test_every_configured_channel_is_a_default_until_somebody_chooses(monkeypatch: pytest.MonkeyPatch):
    everything = {**MAIL, "SLACK_WEBHOOK_URL_FILE": "/run/secrets/slack"}

    assert settings(monkeypatch, **everything).default_channels() == list(Channel)
    assert settings(monkeypatch, NOTIFY_CHANNELS="slack").default_channels() == [Channel.slack]
    assert settings(monkeypatch, NOTIFY_CHANNELS='["email", "console"]').default_channels() == [
        Channel.email,
        Channel.console,
    ]
    assert settings(monkeypatch, NOTIFY_CHANNELS="").default_channels() == []


def test_the_retry_schedule_is_the_documented_one(monkeypatch: pytest.MonkeyPatch):
    schedule = settings(monkeypatch).schedule()

    assert (schedule.attempts, schedule.first, schedule.longest) == (
        5,
        timedelta(seconds=30),
        timedelta(seconds=480),
    )


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"SMTP_HOST": "mail"}, "set EMAIL_FROM"),
        ({**MAIL, "EMAIL_FROM": "nobody"}, "EMAIL_FROM: 'nobody' is no e-mail address"),
        ({**MAIL, "EMAIL_RECIPIENTS": "a@x.org,b"}, "EMAIL_RECIPIENTS: 'b' is no e-mail address"),
        ({**MAIL, "SMTP_TLS": "none", "SMTP_PASSWORD": "x"}, "in the open"),
        ({**MAIL, "SMTP_TLS": "opportunistic"}, "starttls"),
        ({**MAIL, "SMTP_PASSWORD": "x", "SMTP_PASSWORD_FILE": "/f"}, "not both"),
        ({"SLACK_WEBHOOK_URL": "x", "SLACK_WEBHOOK_URL_FILE": "/f"}, "not both"),
        ({"WORKER_CONCURRENCY": "3"}, "hold up the others"),
        ({"NOTIFY_CHANNELS": "pigeon"}, "console"),
        ({"DELIVERY_FIRST_PAUSE": "PT0S"}, "greater than 0"),
    ],
)
def test_what_cannot_be_meant_stops_the_start_and_says_why(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], said: str
):
    with pytest.raises(ValidationError) as refused:
        settings(monkeypatch, **environment)

    assert said in str(refused.value)


def test_a_refusal_does_not_repeat_the_secrets_beside_it(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ValidationError) as refused:
        settings(
            monkeypatch, SMTP_HOST="mail", SMTP_PASSWORD="hunter2", SLACK_WEBHOOK_URL="https://hooks/hunter3"
        )

    assert "hunter" not in str(refused.value)


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch):
    read = settings(monkeypatch, **MAIL, SMTP_PASSWORD="hunter2", SLACK_WEBHOOK_URL="https://hooks/hunter3")

    assert "hunter" not in repr(read) + str(read.model_dump())
    assert read.smtp_password_file is None or isinstance(read.smtp_password_file, Path)
