"""Decides: which objects belong together, what is wrong with them, and whose fault it is. Pure."""
