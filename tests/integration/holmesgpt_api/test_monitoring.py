"""Alerts and dashboard ask for nothing that the running API and worker do not show: no name, no label, no label's value."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from libs.web.tls import CertificateFiles, ServingCertificate
from tests.support.certificates import certificate
from tests.support.holmesgpt import Place, serving, working
from tests.support.monitoring import (
    OF_PROMETHEUS,
    OF_THE_SCRAPE,
    Listed,
    Shown,
    asked,
    expressions,
    recorded,
    shown,
)

pytestmark = pytest.mark.requirement("HAPI-173", "HAPI-172")

SERVICE = "holmesgpt-api"
LAST = "holmesgpt_api_engine_usage_alert"
"""What a worker declares last."""


def faults(expression: str, said: str, known: Shown) -> list[str]:
    """What the expression, or what is said of its labels, names that there is not."""
    one = asked(expression)
    found = [f"no {selector.name}" for selector in one.selectors if selector.name not in known]
    labels: set[str] = set()
    for selector in one.selectors:
        has = known.get(selector.name, {})
        labels |= has.keys()
        for match in selector.matches if selector.name in known else ():
            if match.label not in has:
                found.append(f"{selector.name} has no {match.label}")
            elif has[match.label] and not match.found_in(has[match.label]):
                found.append(f"{selector.name}: {match.label} is never {match.value}")
    named = set(re.findall(r"\{\{\s*(?!end\b)(\w+)\s*\}\}|\$labels\.(\w+)", said))
    said_labels = {legend or annotation for legend, annotation in named}
    return found + [f"no label {label}" for label in sorted((one.labels | said_labels) - labels)]


@pytest.fixture
async def known(here: Place, tmp_path: Path) -> Shown:
    """All that the two processes show, those recorded from it, and what Prometheus adds."""
    settings = here.settings()
    api, worker = Listed(SERVICE), Listed(SERVICE)
    tls = certificate(tmp_path / "tls")
    for one in (api, worker):  # as `libs.web.server` does for each process where TLS_CERT_FILE is set
        ServingCertificate(CertificateFiles(tls.chain, tls.key), one)
    async with working(settings, worker), serving(settings, here.api_key, metrics=api) as client:
        await client.get("/health")
        async with asyncio.timeout(30):
            while LAST not in shown(worker):
                await asyncio.sleep(0.05)
        scraped = {**shown(api, worker), **OF_PROMETHEUS}
    with_targets = {name: {**labels, **dict.fromkeys(OF_THE_SCRAPE, ())} for name, labels in scraped.items()}
    return {**with_targets, **{name: {"job": ()} for name in recorded(SERVICE)}}


async def test_every_name_label_and_value_that_is_asked_for_is_there(known: Shown):
    missing = {
        where: found for where, expr, said in expressions(SERVICE) if (found := faults(expr, said, known))
    }

    assert missing == {}


NOT_THERE = {
    "rate(holmesgpt_api_investigation_total[5m])": "no holmesgpt_api_investigation_total",
    'up{namespace="kubernaut"} == 0': "up has no namespace",
    'holmesgpt_api_jobs_total{task=~"conduct|concoct"}': "holmesgpt_api_jobs_total: task is never conduct|concoct",
    'holmesgpt_api_llm_runs_total{outcome!="done"}': "holmesgpt_api_llm_runs_total: outcome is never done",
    "sum by (pod) (holmesgpt_api_llm_held)": "no label pod",
    'job:holmesgpt_api_requests_failed:ratio_rate5m{instance=~"$instance"}': "job:holmesgpt_api_requests_failed:ratio_rate5m has no instance",
    "up == 0 and on (node) kubernaut_service_info": "no label node",
}


async def test_what_is_not_there_would_be_noticed(known: Shown):
    assert {expression: faults(expression, "", known) for expression in NOT_THERE} == {
        expression: [fault] for expression, fault in NOT_THERE.items()
    }
    assert faults("up", "{{job}} on {{node}}", known) == ["no label node"]
    assert faults("up", "{{ $labels.job }} in {{ $labels.namespace }}", known) == ["no label namespace"]
