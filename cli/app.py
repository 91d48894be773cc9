"""The commands and their options. What a command does stands in a module of its own, imported when it is called:
`triage` answers in two seconds, and the others' libraries would take one of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="kubernaut",
    help="Turns a Prometheus alert into an explained root cause.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

testbed = typer.Typer(
    help="A Kubernetes control plane on this machine, for trying things out.", no_args_is_help=True
)
app.add_typer(testbed, name="testbed")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@app.command()
def run(
    once: Annotated[bool, typer.Option("--once", help="Stop after the report.")] = False,
) -> None:
    """Start everything on this machine, play the bundled incident, print the report, keep serving."""
    from cli.run.command import console
    from cli.run.command import run as start

    raise typer.Exit(start(once=once, console=console()))


@app.command()
def triage(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="A must-gather, a folder of objects, or its tar archive.")
    ],
    alert: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="An Alertmanager webhook body, or one alert, as JSON."),
    ] = None,
    target: Annotated[
        str | None, typer.Option(metavar="KIND/NS/NAME", help="The object to explain, e.g. Pod/shop/api-0.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read a recorded cluster and print the ranked causes. No service, no database.

    Exit code: 0 a cause was found, 3 none, 2 the input could not be read.
    """
    from cli.triage import main

    raise typer.Exit(main(directory, alert=alert, target=target, as_json=as_json))


@app.command()
def send(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An Alertmanager webhook body; - for stdin.")],
    url: Annotated[str | None, typer.Option(help="The alerts service; default KUBERNAUT_ALERTS_URL.")] = None,
    as_json: AsJson = False,
) -> None:
    """Post a webhook body to the alerts service, byte for byte.

    The credential is read from KUBERNAUT_TOKEN. Exit code: 0 everything accepted, 1 not, 2 the file could not be read.
    """
    from cli.send import main

    raise typer.Exit(main(file, url=url, as_json=as_json))


@app.command()
def explain(
    alert: Annotated[str, typer.Argument(metavar="ALERT", help="An episode's id, or an alert's name.")],
    url: Annotated[str | None, typer.Option(help="The alerts service; default KUBERNAUT_ALERTS_URL.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print every decision about an alert, and its reason.

    The credential is read from KUBERNAUT_TOKEN. Exit code: 0 explained, 1 not known or not reachable.
    """
    from cli.explain import main

    raise typer.Exit(main(alert, url=url, as_json=as_json))


@testbed.command()
def up(
    directory: Annotated[
        Path | None,
        typer.Option(
            "--dir", metavar="DIR", help="Where its files go and stay; by default a temporary folder."
        ),
    ] = None,
) -> None:
    """Start kube-apiserver, etcd, controllers, scheduler and KWOK; print a kubeconfig's path; run until Ctrl-C.

    Needs what `make testbed` builds. Exit code: 0 stopped, 2 it could not start.
    """
    from cli.testbed import main

    raise typer.Exit(main(directory))
