"""The bundled incident, played on the test bed.

    python -m tests.testbed incident --out DIR

A database's configuration is edited, its clients crash. Controllers do what controllers do; `play.py` applies, edits
and deletes as people did, and reports what the kubelets saw; `evidence.py` adds what no control plane keeps.
"""
