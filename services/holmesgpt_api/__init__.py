"""Investigates an alert: by a model where one is configured, by deterministic triage where none answers.

Neighbours: the alerts service and people ask it; it asks the Context API. Port 8090, metrics 9091.
"""
