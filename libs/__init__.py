"""What every service stands on: contracts at the bottom, web on top (see docs/architecture.md)."""
