"""Builds what the routes and the jobs work with, and closes it again.

shared.py  what both roles stand on: the database, the Context API, chat's sessions
api.py     what takes questions: everything the routes and the health checks use
worker.py  what conducts investigations
engine.py  what asks models, where one is configured
"""

from services.holmesgpt_api.wiring.api import Ports, checks, serving
from services.holmesgpt_api.wiring.shared import ROOT, SCHEMA, SERVICE
from services.holmesgpt_api.wiring.worker import working

__all__ = ["ROOT", "SCHEMA", "SERVICE", "Ports", "checks", "serving", "working"]
