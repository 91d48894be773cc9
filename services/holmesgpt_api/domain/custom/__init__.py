"""Custom toolsets: what an operator writes down of a foreign system, and what follows from it. Pure."""
