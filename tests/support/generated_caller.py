"""A caller that uses nothing but the client which a stock generator made from the committed OpenAPI document.

Run as `python generated_caller.py FOLDER URL KEY` in an environment of its own: investigates, lists, and looks
one up; prints what it has read.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

PACKAGE = "holmesgpt_client"


def call(operation: str, **arguments: Any) -> Any:
    return importlib.import_module(f"{PACKAGE}.api.investigations.{operation}").sync(**arguments)


def main(folder: str, url: str, key: str) -> None:
    sys.path.insert(0, folder)
    client_module = importlib.import_module(f"{PACKAGE}.client")
    models = importlib.import_module(f"{PACKAGE}.models")
    labels = models.InvestigationRequestLabels.from_dict({"namespace": "shop", "pod": "checkout-1"})
    request = models.InvestigationRequest(alert_name="KubePodCrashLooping", labels=labels, priority="high")
    # `raise_on_unexpected_status`: an answer that the document does not describe is an error here.
    client = client_module.AuthenticatedClient(base_url=url, token=key, raise_on_unexpected_status=True)
    with client:
        made = call("investigate_api_v1_investigate_post", client=client, body=request)
        page = call("list_investigations_api_v1_investigate_get", client=client, limit=5)
        again = call(
            "look_api_v1_investigate_investigation_id_get",
            client=client,
            investigation_id=made.investigation_id,
        )
        unknown = call(
            "look_api_v1_investigate_investigation_id_get", client=client, investigation_id="inv-0"
        )
    said = {
        "types": [type(one).__name__ for one in (made, page, again, unknown)],
        "status": made.status.value,
        "cause": made.results.cause.target.name,
        "listed": [one.investigation_id for one in page.items],
        "made": made.investigation_id,
        "again": again.investigation_id,
        "unknown": unknown.code,
    }
    print(json.dumps(said))


if __name__ == "__main__":
    main(*sys.argv[1:])
