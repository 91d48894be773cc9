"""`kubernaut doctor`: what this machine has, what is missing, and the command that gets it.

It works before anything is installed: the standard library alone, Python 3.9 or later (to say that this is too old
for the rest), no network.
"""
