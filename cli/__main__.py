"""`python -m cli`: the command line."""

from cli.app import app

app(prog_name="kubernaut")
