"""Reading wrk's report and making ratios of it."""

import pytest

from tests.bench.load import Run, parse
from tests.bench.table import cpu_ratio, rows

pytestmark = pytest.mark.requirement("INT-BR-MON-009")

REPORT = """Running 3s test @ http://127.0.0.1:1/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.00ms    1.00ms   9.00ms   90.00%
    Req/Sec    30.00k     1.00k   32.00k    90.00%
  Latency Distribution
     50%  950.00us
     75%    2.50ms
     90%    3.00ms
     99%    1.20s
  9000 requests in 3.00s, 1.00MB read
  Socket errors: connect 0, read 1, write 0, timeout 2
  Non-2xx or 3xx responses: 4
Requests/sec:   3000.00
Transfer/sec:      0.33MB
"""


def a_run(rps: float, cpu_us: float) -> Run:
    return Run(rps=rps, p50=1, p99=2, requests=1, errors=0, cpu_us=cpu_us)


def test_times_are_read_in_whatever_unit_wrk_chose():
    run = parse(REPORT, ticks=0)

    assert (run.p50, run.p99) == pytest.approx((0.95, 1200.0))


def test_refused_answers_and_broken_sockets_both_count_as_errors():
    assert parse(REPORT, ticks=0).errors == 7


def test_what_is_no_report_is_refused_rather_than_read_as_zero():
    with pytest.raises(ValueError, match="something else"):
        parse("unable to connect", ticks=0)


def test_a_ratio_compares_runs_of_the_same_round_only():
    noisy = {
        "raw": [a_run(100, 10), a_run(10, 20), a_run(1000, 30)],
        "ours": [a_run(50, 20), a_run(5, 40), a_run(500, 60)],
    }

    assert rows(noisy, "raw")[1].ratio == 0.5
    assert cpu_ratio(noisy, "ours", "raw") == 2.0
