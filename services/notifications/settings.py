"""What an operator can set about the notifications service."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from libs.auth.settings import AuthSettings
from libs.cache.settings import RedisSettings
from libs.contracts.base import Duration
from libs.contracts.notifications import Channel
from libs.jobs.settings import JobsSettings
from libs.storage.settings import StorageSettings
from libs.web.settings import Port, WebSettings, WordList
from services.notifications.domain.addressees import address
from services.notifications.domain.schedule import Schedule


def _channels(value: object) -> object:
    """`console,email` or a JSON list."""
    if isinstance(value, str) and not value.lstrip().startswith("["):
        return [word.strip() for word in value.split(",") if word.strip()]
    return value


ChannelList = Annotated[list[Channel], NoDecode, BeforeValidator(_channels)]


class ConsoleSettings(BaseSettings):
    model_config = SettingsConfigDict(use_attribute_docstrings=True, extra="ignore", populate_by_name=True)

    console_json: bool | None = None
    """True: one JSON line per notification on standard output; false: a block for people. Unset: the block on
    a terminal, the line elsewhere."""

    console_concurrency: int = Field(default=1, ge=1, le=1)
    """Notifications shown at once. One: two blocks written together would be torn."""

    console_timeout: Duration = timedelta(seconds=5)
    """Longest wait for standard output to be read."""


class EmailSettings(BaseSettings):
    model_config = SettingsConfigDict(use_attribute_docstrings=True, extra="ignore", populate_by_name=True)

    smtp_host: str | None = None
    """Server that takes our mail. Unset: the channel `email` is not configured."""

    smtp_port: Port = 587
    """Its TCP port: 587 for submission with STARTTLS, 465 with `SMTP_TLS=implicit`."""

    smtp_tls: Literal["starttls", "implicit", "none"] = "starttls"
    """`starttls`: required, a server that does not offer it gets no mail; `implicit`: TLS from the first byte;
    `none`: in the open, refused together with a password."""

    smtp_ca_file: Path | None = None
    """PEM file of the authority that signed the server's certificate; unset: those of the system."""

    smtp_username: str | None = None
    """Unset: no authentication."""

    smtp_password: SecretStr | None = None
    """Its password, where it does not come from `SMTP_PASSWORD_FILE`."""

    smtp_password_file: Path | None = None
    """File with the password alone (a mounted secret); read at the start."""

    smtp_timeout: Duration = timedelta(seconds=20)
    """For one mail, from the connection to the server's word that it has it. Content scanners take seconds."""

    smtp_concurrency: int = Field(default=4, ge=1, le=50)
    """Mails handed in at once by one worker process. Four reach 1,000 a minute at 240 ms each, and few servers
    take more than ten connections of one client."""

    email_from: str | None = None
    """Sender's address, e.g. `kubernaut@ops.example.org`. Required with `SMTP_HOST`; its domain is also that of
    the message ids."""

    email_recipients: WordList = []
    """Addresses that get what names no recipients, comma-separated. Empty: such a delivery fails and says so."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.smtp_host and not self.email_from:
            raise ValueError("SMTP_HOST is set: set EMAIL_FROM as well")
        if self.smtp_password and self.smtp_password_file:
            raise ValueError("set SMTP_PASSWORD or SMTP_PASSWORD_FILE, not both")
        if self.smtp_tls == "none" and (self.smtp_password or self.smtp_password_file):
            raise ValueError("SMTP_TLS=none would send SMTP_PASSWORD in the open: use starttls or implicit")
        for name, text in [
            ("EMAIL_FROM", self.email_from),
            *(("EMAIL_RECIPIENTS", one) for one in self.email_recipients),
        ]:
            if text and address(text) is None:
                raise ValueError(f"{name}: {text!r} is no e-mail address like `name@example.org`")
        return self


class SlackSettings(BaseSettings):
    model_config = SettingsConfigDict(use_attribute_docstrings=True, extra="ignore", populate_by_name=True)

    slack_webhook_url: SecretStr | None = None
    """URL of an incoming webhook; whoever has it can post. Unset, and no file: the channel `slack` is not
    configured."""

    slack_webhook_url_file: Path | None = None
    """File with the URL alone (a mounted secret); read at the start."""

    slack_origins: WordList = ["https://hooks.slack.com", "https://hooks.slack-gov.com"]
    """Origins a webhook may have, compared exactly. Another one (a proxy, a compatible chat) is added by an
    operator, so that a wrong URL cannot make us call something inside."""

    slack_interval: Duration = timedelta(seconds=1)
    """Least time between two messages, over all workers. Slack takes about one a second per webhook."""

    slack_timeout: Duration = timedelta(seconds=10)
    """For one message. Slack answers in well under a second."""

    slack_concurrency: int = Field(default=1, ge=1, le=10)
    """Messages on their way at once from one worker process. One: the interval allows no more."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.slack_webhook_url and self.slack_webhook_url_file:
            raise ValueError("set SLACK_WEBHOOK_URL or SLACK_WEBHOOK_URL_FILE, not both")
        return self


class DeliverySettings(BaseSettings):
    model_config = SettingsConfigDict(use_attribute_docstrings=True, extra="ignore", populate_by_name=True)

    notify_channels: ChannelList | None = None
    """Channels of what names none, comma-separated. Unset: the console and each one that is configured. Empty:
    such a notification fails and says so."""

    delivery_attempts: int = Field(default=5, ge=1, le=50)
    """Calls of a channel for one delivery; then it has failed and waits for a person to send it again."""

    delivery_first_pause: Duration = Field(default=timedelta(seconds=30), gt=timedelta(0))
    """Between the first failure and the next try; doubled each time. A restart of a mail server takes as long."""

    delivery_longest_pause: Duration = Field(default=timedelta(seconds=480), gt=timedelta(0))
    """Where the doubling ends. A channel that asks for longer (`Retry-After`) gets up to an hour."""

    delivery_jitter: float = Field(default=0.1, ge=0, le=1)
    """Share by which a pause may be longer, so that what failed together does not come back together."""

    channel_failures: int = Field(default=3, ge=1, le=100)
    """Failures in a row after which a channel is left alone for `CHANNEL_PAUSE`; deliveries then wait and use
    up no tries."""

    channel_pause: Duration = Field(default=timedelta(seconds=30), gt=timedelta(0))
    """How long a failing channel is left alone (a fifth more or less), before one delivery tries it again."""

    notification_keep: Duration = timedelta(days=30)
    """How long ended notifications and the record of their attempts are kept. As long, a fact is not told twice."""

    def schedule(self) -> Schedule:
        """When failed deliveries are tried again."""
        return Schedule(
            attempts=self.delivery_attempts,
            first=self.delivery_first_pause,
            longest=self.delivery_longest_pause,
            jitter=self.delivery_jitter,
        )


class Settings(
    DeliverySettings,
    ConsoleSettings,
    EmailSettings,
    SlackSettings,
    WebSettings,
    StorageSettings,
    RedisSettings,
    AuthSettings,
    JobsSettings,
):
    """Everything this service reads."""

    model_config = SettingsConfigDict(
        use_attribute_docstrings=True,
        extra="ignore",
        populate_by_name=True,
        # A refused setting is named in the log of the start; passwords among the input must not be.
        hide_input_in_errors=True,
    )

    port: Port = Field(default=8093, validation_alias=AliasChoices("NOTIFICATIONS_PORT", "PORT"))
    """TCP port of the API; 0 takes any free one."""

    metrics_port: Port = Field(
        default=9094, validation_alias=AliasChoices("NOTIFICATIONS_METRICS_PORT", "METRICS_PORT")
    )
    """TCP port of `/metrics`; when it is taken the next free one is used, and said."""

    worker_concurrency: int = Field(default=8, ge=1, le=100)
    """Jobs one worker process runs at once. At least the channels' concurrencies together, so that a channel
    that hangs leaves room for the others."""

    @model_validator(mode="after")
    def _room_for_every_channel(self) -> Self:
        needed = self.console_concurrency + self.smtp_concurrency + self.slack_concurrency
        if self.worker_concurrency < needed:
            raise ValueError(
                f"WORKER_CONCURRENCY={self.worker_concurrency} is less than the channels' {needed} together: "
                "one that hangs would hold up the others"
            )
        return self

    def configured(self, channel: Channel) -> bool:
        match channel:
            case Channel.console:
                return True
            case Channel.email:
                return self.smtp_host is not None
            case Channel.slack:
                return bool(self.slack_webhook_url or self.slack_webhook_url_file)

    def default_channels(self) -> list[Channel]:
        """Channels of a notification that names none."""
        if self.notify_channels is not None:
            return self.notify_channels
        return [channel for channel in Channel if self.configured(channel)]
