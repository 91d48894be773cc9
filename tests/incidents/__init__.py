"""Whole incidents with their answers, and how well triage answers them."""
