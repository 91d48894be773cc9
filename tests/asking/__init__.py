"""How soon an investigation has in view what it needs: asking step by step, or with everything in the prompt at once.

`reader.py`   the model's stand-in: reads, takes its time, and asks by a script
`ways.py`     the scripts: our tools in the order they advise, and static enrichment
`measure.py`  one incident, both ways: tokens, steps and the stand-in's time until all that is needed is in view
`table.py`    the figures for people
"""
