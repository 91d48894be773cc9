"""The commands and their options. What a command does stands in a module of its own, imported when it is called:
`triage` answers in two seconds, and the others' libraries would take one of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cli.live import Wanted

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


Kubeconfig = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Default: KUBECONFIG, ~/.kube/config, or the pod this runs in."),
]
Context = Annotated[
    str | None, typer.Option(metavar="NAME", help="A context of the kubeconfig; default its current one.")
]
Namespaces = Annotated[
    list[str] | None,
    typer.Option(
        "--namespace", "-n", metavar="NS", help="Only this namespace, and what has none; may be repeated."
    ),
]
PrometheusUrl = Annotated[
    str | None, typer.Option("--prometheus", metavar="URL", help="Ask this Prometheus for metrics.")
]


@app.command()
def triage(
    directory: Annotated[
        Path | None,
        typer.Argument(metavar="[DIR]", help="A must-gather, a folder of objects, or its tar archive."),
    ] = None,
    alert: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="An Alertmanager webhook body, or one alert, as JSON."),
    ] = None,
    target: Annotated[
        str | None, typer.Option(metavar="KIND/NS/NAME", help="The object to explain, e.g. Pod/shop/api-0.")
    ] = None,
    as_json: AsJson = False,
    live: Annotated[bool, typer.Option("--live", help="Read the cluster itself instead of DIR.")] = False,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespaces = None,
    prometheus: PrometheusUrl = None,
    mutes: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Known findings not to be told of, as YAML (docs/triage.md)."),
    ] = None,
) -> None:
    """Read a recorded cluster, or with --live the cluster itself, and print the ranked causes. No service, no database.

    Exit code: 0 a cause was found, 3 none, 2 the input could not be read.
    """
    options = (kubeconfig, context, namespace, prometheus)
    if live == (directory is not None):
        raise typer.BadParameter("give either DIR or --live")
    if not live and any(options):
        raise typer.BadParameter("--kubeconfig, --context, --namespace and --prometheus need --live")
    from cli.triage import main

    source = directory or _wanted(kubeconfig, context, namespace, None, prometheus)
    raise typer.Exit(main(source, alert=alert, target=target, mutes=mutes, as_json=as_json))


@app.command()
def record(
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Where to write; must not exist, or be empty.")
    ],
    namespace: Namespaces = None,
    since: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Only events and logs of the last 30m, 2h, 1d.")
    ] = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    prometheus: PrometheusUrl = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="The cluster's name in the recording.")
    ] = None,
) -> None:
    """Write a recorded cluster from a live one: objects, events, logs, metrics; Secrets without their data.

    Exit code: 0 written (what could not be read is said), 2 nothing was: no cluster, no access, or DIR is taken.
    """
    from cli.record import main

    wanted = _wanted(kubeconfig, context, namespace, since, prometheus)
    raise typer.Exit(main(out, wanted, name=name))


@app.command("serve-recording")
def serve_recording(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="A must-gather, a folder of objects, or its tar archive.")
    ],
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="On 127.0.0.1; 0 for any that is free.")
    ] = 8099,
    kubeconfig: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a kubeconfig that leads there; removed when serving ends."),
    ] = None,
) -> None:
    """Serve a recorded cluster as a read-only Kubernetes API on this machine, for kubectl and its like, until Ctrl-C.

    Exit code: 0 ended by you, 2 the recording could not be read, the port is taken, or FILE is.
    """
    from cli.serve_recording.command import main

    raise typer.Exit(main(directory, port=port, kubeconfig=kubeconfig))


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


def _wanted(
    kubeconfig: str | None,
    context: str | None,
    namespaces: list[str] | None,
    since: str | None,
    prometheus: str | None,
) -> Wanted:
    from cli.live import Wanted

    return Wanted(kubeconfig, context, tuple(namespaces or ()), since, prometheus)


@app.command()
def watch(
    url: Annotated[str | None, typer.Option(help="The alerts service; default KUBERNAUT_ALERTS_URL.")] = None,
    holmesgpt_url: Annotated[
        str | None, typer.Option(help="The HolmesGPT API; default KUBERNAUT_HOLMESGPT_URL.")
    ] = None,
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", metavar="NS", help="This namespace alone.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Print what is open now, and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document a line.")] = False,
) -> None:
    """Follow alerts and investigations live, until Ctrl-C.

    On a terminal a table, elsewhere a line for each change. A service that is away is asked again until it is back.
    The credential is read from KUBERNAUT_TOKEN. Exit code: 0 ended by you, 1 refused (with --once: or no answer).
    """
    from cli.watch.command import main

    raise typer.Exit(
        main(url=url, holmesgpt_url=holmesgpt_url, namespace=namespace, once=once, as_json=as_json)
    )


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Say what this machine has, what is missing, and the command that gets it. Needs no network.

    Exit code: 0 `make run` can work, 1 it cannot.
    """
    from cli.doctor.command import main

    raise typer.Exit(main(as_json=as_json))
