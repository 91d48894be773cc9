"""Prometheus metrics with closed label sets, served on a port and in a thread of their own.

metrics.py  counters, gauges, histograms whose labels can only take declared values
server.py   /metrics and /health beside the API, never on its event loop
"""

from libs.metrics.metrics import Counter, Gauge, Histogram, Metrics
from libs.metrics.server import MetricsServer

__all__ = ["Counter", "Gauge", "Histogram", "Metrics", "MetricsServer"]
