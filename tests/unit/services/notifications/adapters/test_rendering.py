from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifications.adapters.rendering import TEMPLATES, html, mrkdwn, plain, slack_escape
from services.notifications.domain.message import Link
from tests.support.messages import message

pytestmark = pytest.mark.requirement("INT-BR-NOT-007", "INT-BR-SEC-011")

HOSTILE = "<!channel> {{ 7*7 }} {% for x in y %} <script>alert(1)</script> \"'&<https://evil|ok> \x1b[2J\x07"


@given(st.text())
def test_no_text_can_become_a_mention_or_a_link_in_slack(text: str):
    escaped = slack_escape(text)

    assert "<" not in escaped
    assert ">" not in escaped
    for entity in ("&amp;", "&lt;", "&gt;"):
        escaped = escaped.replace(entity, "")
    assert "&" not in escaped


@given(st.text(alphabet=st.characters(exclude_categories=["C", "Z"])))
def test_slack_shows_what_was_written(text: str):
    shown = slack_escape(text).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")

    assert shown == text


def test_foreign_text_is_never_a_template():
    told = message(subject=HOSTILE, body=HOSTILE)

    for shown in (
        plain("console.txt.j2")(told),
        html("email.html.j2")(told),
        mrkdwn("slack-head.mrkdwn.j2")(told),
    ):
        assert "{{ 7*7 }} {% for x in y %}" in shown
        assert "49" not in shown


def test_html_shows_foreign_text_as_text():
    shown = html("email.html.j2")(
        message(body=HOSTILE, links=(Link('"><img src=x>', "https://x.org/?a=1&b=2"),))
    )

    assert "<script>" not in shown
    assert "<img" not in shown
    assert 'href="https://x.org/?a=1&amp;b=2"' in shown


@pytest.mark.parametrize("name", ["console.txt.j2", "email.txt.j2"])
def test_a_terminal_gets_no_control_character(name: str):
    told = message(subject=HOSTILE, body=HOSTILE, links=(Link("a\x1b]0;b\x07", "https://x.org/"),))

    assert all(sign == "\n" or sign.isprintable() for sign in plain(name)(told))


def test_every_template_of_ours_can_be_filled():
    bare = message(incident_id=None, episode_id=None)
    full = message(links=(Link("runbook", "https://x.org/"),), possible_duplicate=True)

    for path in sorted(TEMPLATES.glob("*.j2")):
        for told in (bare, full):
            assert plain(path.name)(told).strip()


def test_a_name_that_is_missing_in_a_message_is_an_error_and_not_an_empty_place():
    with pytest.raises(Exception, match="has no attribute"):
        plain("console.txt.j2")(object())  # type: ignore[arg-type]
