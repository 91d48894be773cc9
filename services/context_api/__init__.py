"""Gathers, ranks and serves evidence about a Kubernetes target, and finds causes.

Neighbours: holmesgpt_api and alerts ask it; it asks nobody but its evidence source. Port 8091, metrics 9092.
"""
