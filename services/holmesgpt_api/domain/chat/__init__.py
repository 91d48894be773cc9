"""Chat: questions about an incident, answered by triage from its findings, or by a model within the same bounds."""
