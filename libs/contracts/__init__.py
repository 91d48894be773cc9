"""Everything that crosses a process boundary, as pydantic models. Imports nothing else of ours.

Add fields, never repurpose them: sharing a model does not deploy both sides at once.
"""
