"""`python -m tests.contracts.golden`: keep the answers of today as the golden ones; look at the difference before."""

from __future__ import annotations

import asyncio

from tests.contracts.golden import answers, keep

keep(asyncio.run(answers()))
