"""What leaves for a Prometheus stays within the operator's matchers, whatever the query is."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.context_api.domain.metric_questions import metric_questions
from services.context_api.domain.promql import (
    LONGEST,
    Match,
    QueryRefused,
    Selector,
    confined,
    duration,
    guarded,
    matches_of,
    parse,
    quoted,
    selectors,
    written,
)

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-018")

EU = matches_of('cluster="eu-1"')
HOSTILE = ('"', "\\", '"} or up{x="', "`", "'", "\n", "# ", "{", "}", "é", "\u2028", "\x00", "$1", "eu-2", "")

names = st.sampled_from(["up", "a:b", "http_requests_total", "x_1"])
labels = st.sampled_from(["pod", "job", "le", "namespace"])
values = st.one_of(st.text(max_size=12), st.lists(st.sampled_from(HOSTILE), max_size=4).map("".join)).filter(
    lambda text: not any("\ud800" <= sign <= "\udfff" for sign in text)
)
matches = st.one_of(
    st.builds(lambda label, op, value: str(Match(label, op, value)), labels, st.sampled_from(["=", "!="]), values),
    st.builds(lambda label, op, value: str(Match(label, op, re.escape(value))), labels, st.sampled_from(["=~", "!~"]), st.sampled_from(["a", "b.c", "1"])),
    st.sampled_from(['cluster="eu-1"', 'cluster=~"eu-.*"', 'cluster!="eu-2"', 'cluster!=""']),
)  # fmt: skip
lengths = st.sampled_from(["5m", "1h30m", "1500ms", "7d", "90s"])
moments = st.sampled_from(
    ["", " @ 1609746000", " @ start()", " @ end()", " offset 5m", " offset -1h", " @ 7.5 offset 250ms"]
)


@st.composite
def instant(draw: st.DrawFn) -> str:
    inside = ",".join(draw(st.lists(matches, max_size=3)))
    return (
        f"{draw(names)}{{{inside}}}{draw(moments)}"
        if inside or draw(st.booleans())
        else f"{draw(names)}{draw(moments)}"
    )


@st.composite
def ranged(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    if draw(st.booleans()):
        inside = ",".join(draw(st.lists(matches, max_size=2)))
        return f"{draw(names)}{{{inside}}}[{draw(lengths)}]{draw(moments)}"
    step = draw(st.sampled_from(["", "1m", "30s"]))
    return f"({draw(inner)})[{draw(lengths)}:{step}]{draw(moments)}"


def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    grouping = st.sampled_from(["", " by (pod, job)", " without (le)", " by ()"])
    on = st.sampled_from(["", " on (pod)", " ignoring (le)", " on ()"])
    return st.one_of(
        st.builds("{0}{1} ({2})".format, st.sampled_from(["sum", "avg", "max", "count", "group"]), grouping, inner),
        st.builds("topk{0} ({1}, {2})".format, grouping, st.sampled_from(["3", "scalar(up)"]), inner),
        st.builds("count_values({0}, {1})".format, labels.map(quoted), inner),
        st.builds("({0}) {1}{2} ({3})".format, inner, st.sampled_from(["+", "/", "%", "^", "> bool", "==", "and", "or", "unless"]), on, inner),
        st.builds("({0}) * on (pod) group_left (job) ({1})".format, inner, inner),
        st.builds("{0}({1})".format, st.sampled_from(["absent", "abs", "scalar", "sort", "timestamp"]), inner).map(lambda q: f"vector({q})" if q.startswith("scalar") else q),
        st.builds("{0}({1})".format, st.sampled_from(["rate", "max_over_time", "absent_over_time", "increase"]), ranged(inner)),
        st.builds("quantile_over_time(0.9, {0})".format, ranged(inner)),
        st.builds("label_replace({0}, {1}, \"$1\", \"pod\", \"(.*)\")".format, inner, labels.map(quoted)),
        st.builds("-({0})".format, inner),
        st.builds("({0}) >= {1}".format, inner, st.sampled_from(["0.5", "1e-7", "-3", "NaN", "Inf"])),
    )  # fmt: skip


queries = st.recursive(instant(), larger, max_leaves=6)


@settings(deadline=None)
@given(queries)
def test_whatever_the_query_is_each_selector_carries_the_matcher(query: str):
    sent = parse(guarded(query, EU))

    found = list(selectors(sent))
    assert len(found) == len(list(selectors(parse(query))))
    assert all(EU[0] in one.matches for one in found)


@settings(deadline=None)
@given(queries)
def test_beside_the_matcher_nothing_of_the_query_changes(query: str):
    assert parse(guarded(query, EU)) == confined(parse(query), EU)
    assert parse(guarded(query)) == parse(query)


@settings(deadline=None)
@given(queries)
def test_once_is_as_good_as_twice(query: str):
    sent = guarded(query, EU)

    assert guarded(sent, EU) == sent


@settings(deadline=None)
@given(values, values)
def test_no_value_gets_out_of_its_quotes(value: str, other: str):
    sent = parse(guarded(f"up{{pod={quoted(value)},job!={quoted(other)}}}", EU))

    assert sent == Selector("up", (Match("pod", "=", value), Match("job", "!=", other), *EU))


@pytest.mark.parametrize("query", [
    'max_over_time(rate(up[5m] offset 1h)[1h:1m] @ end())',
    'absent(up{job="x"})',
    'up and on (pod) (up @ start() or -up)',
    'histogram_quantile(0.9, sum by (le) (rate({__name__=~"x|y"}[5m])))',
    '{"a.b"}',
])  # fmt: skip
def test_no_place_is_forgotten(query: str):
    found = list(selectors(parse(guarded(query, EU))))

    assert found
    assert all(EU[0] in one.matches for one in found)


@pytest.mark.parametrize("query", [
    'up{cluster="eu-2"}',
    'up{cluster!="eu-1"}',
    'up{cluster=~"us-.*|eu-2"}',
    'up{cluster!~"eu-.*"}',
    'up{cluster=""}',
    'sum(rate(up{pod="x"}[5m])) / on () sum(up{cluster="eu-2"})',
    'max_over_time(up{cluster="eu-2"}[1h:])',
])  # fmt: skip
def test_a_selector_that_names_another_value_is_refused(query: str):
    with pytest.raises(QueryRefused, match="another cluster"):
        guarded(query, EU)


def test_what_reads_series_that_no_selector_names_is_refused_only_where_there_is_something_to_keep_to():
    with pytest.raises(QueryRefused, match="info"):
        guarded("sum(info(up))", EU)

    assert guarded("sum(info(up))") == "sum(info(up))"


@pytest.mark.parametrize("query", [
    "", "up{", "up{a=b}", "rate(up)", "up[5m", 'up{x="1" or y="2"}', "up @ -5", "up @ 1e300", "up @ 99999999999999",
    "-" * (LONGEST + 1) + "up", "(" * 1_000 + "up" + ")" * 1_000, "up;drop", 'up{x=~"("}',
])  # fmt: skip
def test_what_is_no_query_or_would_end_the_parser_is_refused(query: str):
    with pytest.raises(QueryRefused):
        guarded(query, EU)


def test_a_refusal_quotes_no_value():
    with pytest.raises(QueryRefused) as refused:
        guarded('up{cluster="s3cret"}', EU)

    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("namespaces", [(), ("shop", "data-1")])
def test_our_own_questions_are_written_as_they_are_asked_and_can_be_kept_to_a_tenant(
    namespaces: tuple[str, ...],
):
    for question in metric_questions(namespaces):
        assert written(parse(question.query)) == question.query
        assert guarded(question.query, EU).count('cluster="eu-1"') == len(
            list(selectors(parse(question.query)))
        )


def test_a_name_that_is_no_namespaces_reaches_no_query():
    with pytest.raises(ValueError, match="no namespace"):
        metric_questions(['x"} or up{y="'])


@pytest.mark.parametrize("text", ['cluster="eu-1"', ' cluster="eu-1" , team="a\\"b" ', ""])
def test_the_operators_matchers_are_read_as_in_a_selector(text: str):
    assert all(one.op == "=" for one in matches_of(text))


@pytest.mark.parametrize("text", [
    "cluster", "cluster=eu", 'cluster=~"eu.*"', 'cluster!="x"', 'cluster=""', 'a="1",a="2"', 'a="1"} or up{b="2"',
    '__name__="up"', '"a.b"="c"', 'a="1"}[5m',
])  # fmt: skip
def test_what_is_not_one_value_for_each_label_is_refused(text: str):
    with pytest.raises(QueryRefused):
        matches_of(text)


@pytest.mark.parametrize(("length", "text"), [
    (timedelta(minutes=5), "5m"), (timedelta(seconds=-90), "-1m30s"), (timedelta(milliseconds=1500), "1s500ms"), (timedelta(0), "0s"),
])  # fmt: skip
def test_durations_are_written_to_the_millisecond(length: timedelta, text: str):
    assert duration(length) == text
