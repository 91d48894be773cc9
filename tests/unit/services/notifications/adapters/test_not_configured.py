from __future__ import annotations

import pytest

from services.notifications.adapters.not_configured import NotConfigured
from services.notifications.domain.errors import DeliveryFailed
from tests.support.messages import message

pytestmark = pytest.mark.requirement("INT-BR-ERR-004", "INT-BR-ERR-002")


async def test_a_channel_that_is_not_set_up_fails_at_once_and_names_the_setting():
    with pytest.raises(DeliveryFailed, match="not-configured: set SMTP_HOST") as failed:
        await NotConfigured("SMTP_HOST").send(message())

    assert not failed.value.retry
    assert not failed.value.about_channel
