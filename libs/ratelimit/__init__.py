"""Allow a rate, and say when to come back: GCRA in this process or in Redis, behind one port.

How much is allowed to whom is the services' business. When the store is away everything is allowed: a
minute without limits costs less than a minute without alerts.
"""

from libs.ratelimit.ahead import AheadRateLimiter
from libs.ratelimit.gcra import Limit, Verdict
from libs.ratelimit.memory import MemoryRateLimiter
from libs.ratelimit.ports import RateLimiter
from libs.ratelimit.redis import RedisRateLimiter

__all__ = ["AheadRateLimiter", "Limit", "MemoryRateLimiter", "RateLimiter", "RedisRateLimiter", "Verdict"]
