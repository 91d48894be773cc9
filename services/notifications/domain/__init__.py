"""Decides whom to tell, in which words, and what follows from each attempt. Pure: no I/O, no framework."""
