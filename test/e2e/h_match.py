"""Choosing a route inside a virtual host: every kind of match."""
import json

import pytest

from harness import bootstrap, cluster, difference, direct, http_listener, route
from harness.proxy import run_once


def table(start, *matches, **kw):
    """A proxy whose routes answer with their number, and "none" when nothing matches."""
    routes = [direct(200, str(number), match=match) for number, match in enumerate(matches)]
    return start(bootstrap([http_listener(routes=routes + [direct(200, "none")], **kw)]))


def answers(proxy, *requests):
    with proxy.client() as client:
        return [client.get(path).text for path in requests]


def test_first_match_in_order_wins(start):
    proxy = table(start, {"prefix": "/a/b"}, {"prefix": "/a"}, {"path": "/a/b/c"})
    assert answers(proxy, "/a/b/c", "/a/b", "/a/x", "/ab", "/") == ["0", "0", "1", "1", "none"]


def test_exact_path(start):
    proxy = table(start, {"path": "/exact"})
    assert answers(proxy, "/exact", "/exact?q=1", "/exact/", "/Exact", "/exactly") == [
        "0", "0", "none", "none", "none"]


def test_path_separated_prefix(start):
    proxy = table(start, {"path_separated_prefix": "/api"})
    assert answers(proxy, "/api", "/api/", "/api/x", "/api?q", "/apix", "/ap") == [
        "0", "0", "0", "0", "none", "none"]


def test_path_separated_prefix_without_a_slash_matches_nothing(start):
    proxy = table(start, {"path_separated_prefix": "ab"}, {"prefix": "/ab"})
    assert answers(proxy, "/ab", "/ab/c", "/a") == ["1", "1", "none"]


def test_safe_regex_matches_the_whole_path(start):
    proxy = table(start, {"safe_regex": {"regex": "/b[io]t+"}})
    assert answers(proxy, "/bit", "/bottt", "/bit?q=/no", "/bits", "/x/bit") == [
        "0", "0", "0", "none", "none"]


def test_a_regex_may_have_a_limit_of_its_own(start):
    """It takes the place of the default."""
    def limited(regex, size):
        return {"safe_regex": {"google_re2": {"max_program_size": size}, "regex": regex}}
    proxy = table(start, limited("/a{200}|/b{300}", 600), {"prefix": "/"})
    assert answers(proxy, "/" + "a" * 200, "/a") == ["0", "1"]


@pytest.mark.parametrize("size, code", [(3, 1), (30, 0)])
def test_a_regex_beyond_its_own_limit_is_refused(kind, tmp_path, size, code):
    match = {"safe_regex": {"google_re2": {"max_program_size": size}, "regex": "/abcd"}}
    (tmp_path / "b.yaml").write_text(json.dumps(bootstrap([http_listener(
        routes=[direct(200, match=match)])])))
    got, out, err = run_once(kind, ["-c", "b.yaml", "--mode", "validate"], tmp_path)
    assert got == code, out + err
    assert code == 0 or "max program size of 3" in out + err


def test_case_sensitive_false(start):
    proxy = table(start, {"prefix": "/Mixed", "case_sensitive": False},
                  {"path": "/Exact", "case_sensitive": False})
    assert answers(proxy, "/mixed/x", "/MIXED", "/EXACT", "/exact", "/exac") == [
        "0", "0", "1", "1", "none"]


def test_query_is_not_part_of_the_path(start):
    proxy = table(start, {"path": "/p"}, {"prefix": "/p?"})
    assert answers(proxy, "/p?x=1", "/p?") == ["0", "0"]


def header_route(name, **matcher):
    return {"prefix": "/", "headers": [{"name": name, **matcher}]}


HEADERS = {
    "exact": ({"string_match": {"exact": "one"}}, ["one"], ["One", "one two", "", None]),
    "exact ignoring case": ({"string_match": {"exact": "One", "ignore_case": True}},
                            ["one", "ONE"], ["two", None]),
    "prefix": ({"string_match": {"prefix": "ab"}}, ["ab", "abc"], ["a", "xab", None]),
    "suffix": ({"string_match": {"suffix": "yz"}}, ["yz", "xyz"], ["yzz", None]),
    "contains": ({"string_match": {"contains": "mid"}}, ["mid", "amidst"], ["md", None]),
    "regex": ({"string_match": {"safe_regex": {"regex": "a+b?"}}}, ["a", "aab"], ["b", "abc"]),
    "present": ({"present_match": True}, ["x", ""], [None]),
    "absent": ({"present_match": False}, [None], ["x"]),
    "range": ({"range_match": {"start": -5, "end": 10}}, ["-5", "0", "9"],
              ["10", "-6", "x", "1.0", "", None]),
    "inverted exact": ({"string_match": {"exact": "one"}, "invert_match": True}, ["two"],
                       ["one", None]),
    "inverted range": ({"range_match": {"start": 0, "end": 10}, "invert_match": True},
                       ["10", "x"], ["5", None]),
    "inverted present": ({"present_match": True, "invert_match": True}, [None], ["x"]),
    "present, missing as empty": (
        {"present_match": True, "treat_missing_header_as_empty": True}, ["x", "", None], []),
    "absent, missing as empty": (
        {"present_match": False, "treat_missing_header_as_empty": True}, [], ["x", None]),
    "missing as empty": ({"string_match": {"exact": ""}, "treat_missing_header_as_empty": True},
                         ["", None], ["x"]),
    "inverted, missing as empty": (
        {"string_match": {"exact": "one"}, "invert_match": True,
         "treat_missing_header_as_empty": True}, ["two", None], ["one"]),
    "deprecated exact_match": ({"exact_match": "one"}, ["one"], ["two", None]),
    "deprecated exact_match that is empty": ({"exact_match": ""}, ["", "x"], [None]),
    "deprecated exact_match that is empty, inverted": (
        {"exact_match": "", "invert_match": True}, [], ["", "x", None]),
    "empty exact": ({"string_match": {"exact": ""}}, [""], ["x", None]),
    "deprecated prefix_match": ({"prefix_match": "on"}, ["one"], ["two"]),
    "deprecated suffix_match": ({"suffix_match": "ne"}, ["one"], ["two"]),
    "deprecated contains_match": ({"contains_match": "n"}, ["one"], ["two"]),
    "deprecated safe_regex_match": ({"safe_regex_match": {"regex": "o.e"}}, ["one"], ["two"]),
    "name alone": ({}, ["x", ""], [None]),
}


@pytest.mark.parametrize("case", HEADERS)
def test_header_matchers(start, case):
    matcher, matching, others = HEADERS[case]
    proxy = table(start, header_route("x-key", **matcher))
    with proxy.client() as client:
        for value in matching + others:
            headers = {} if value is None else {"X-Key": value}
            expected = "0" if value in matching else "none"
            assert client.get("/", headers=headers).text == expected, repr(value)


def test_all_header_matchers_must_agree(start):
    proxy = table(start, {"prefix": "/", "headers": [
        {"name": "x-a", "string_match": {"exact": "1"}},
        {"name": "x-b", "present_match": True}]})
    with proxy.client() as client:
        assert client.get("/", headers={"x-a": "1", "x-b": "2"}).text == "0"
        assert client.get("/", headers={"x-a": "1"}).text == "none"
        assert client.get("/", headers={"x-b": "1"}).text == "none"


LONG = {
    "headers": ({"headers": [{"name": "x-need", "string_match": {"exact": "secret"}}]},
                {"name": "host"}),
    "query_parameters": ({"query_parameters": [{"name": "need"}]}, {"name": "q"}),
}


def long_match(field, n):
    match, entry = LONG[field]
    return {"prefix": "/", field: match[field] + [entry] * (n - 1)}


@pytest.mark.parametrize("field", LONG)
def test_each_of_65535_matchers_counts(start, field):
    proxy = table(start, long_match(field, 65535))
    assert answers(proxy, "/?q") == ["none"]


@difference("A list of conditions is never cut to what is left of its length.",
            envoy="takes more than 65,535 matchers of headers or query parameters in a route, and "
                  "more than 65,535 headers to remove",
            xylem="refuses the route by the field's path")
@pytest.mark.parametrize("field", [*LONG, "request_headers_to_remove"])
def test_more_than_65535_conditions(kind, tmp_path, field):
    made = direct(200, match=long_match(field, 65536)) if field in LONG else direct(
        200, **{field: ["x"] * 65536})
    (tmp_path / "b.yaml").write_text(json.dumps(bootstrap([http_listener(routes=[made])])))
    got, out, err = run_once(kind, ["-c", "b.yaml", "--mode", "validate"], tmp_path)
    assert got == (1 if kind == "xylem" else 0), out + err
    assert kind == "envoy" or f"{field}: more than 65535" in out + err


REPEATED = {
    "first value": ({"string_match": {"exact": "one"}}, True),
    "last value": ({"string_match": {"exact": "two"}}, True),
    "joined values": ({"string_match": {"exact": "one,two"}}, False),
    "regex over both": ({"string_match": {"safe_regex": {"regex": "one.*two"}}}, False),
    "not the first": ({"string_match": {"exact": "one"}, "invert_match": True}, False),
    "not the last": ({"string_match": {"exact": "two"}, "invert_match": True}, False),
    "a range": ({"range_match": {"start": 2, "end": 3}}, False),
    "not another": ({"string_match": {"exact": "three"}, "invert_match": True}, True),
}


@pytest.mark.parametrize("case", REPEATED)
def test_repeated_headers_are_matched_one_by_one(start, case):
    matcher, expected = REPEATED[case]
    proxy = table(start, header_route("x-key", **matcher))
    with proxy.client() as client:
        answer = client.get("/", headers=[("x-key", "one"), ("x-key", "two")])
    assert answer.text == ("0" if expected else "none")


REPEATED_NUMBERS = {
    "first": ({"range_match": {"start": 1, "end": 2}}, True),
    "last": ({"range_match": {"start": 2, "end": 3}}, True),
    "none": ({"range_match": {"start": 3, "end": 4}}, False),
    "not the first": ({"range_match": {"start": 1, "end": 2}, "invert_match": True}, False),
    "not the last": ({"range_match": {"start": 2, "end": 3}, "invert_match": True}, False),
    "not another": ({"range_match": {"start": 3, "end": 4}, "invert_match": True}, True),
}


@pytest.mark.parametrize("case", REPEATED_NUMBERS)
def test_repeated_numbers_are_matched_one_by_one(start, case):
    matcher, expected = REPEATED_NUMBERS[case]
    proxy = table(start, header_route("x-key", **matcher))
    with proxy.client() as client:
        answer = client.get("/", headers=[("x-key", "1"), ("x-key", "2")])
    assert answer.text == ("0" if expected else "none")


def test_pseudo_headers_can_be_matched(start):
    proxy = table(start, header_route(":method", string_match={"exact": "PUT"}),
                  header_route(":authority", string_match={"exact": "b.test"}),
                  header_route(":path", string_match={"prefix": "/x?y"}),
                  header_route(":scheme", string_match={"exact": "https"}))
    with proxy.client() as client:
        assert client.request("PUT", "/").text == "0"
        assert client.get("/", host="b.test").text == "1"
        assert client.get("/x?y=1").text == "2"
        assert client.get("/").text == "none"


QUERIES = {
    "exact": ({"string_match": {"exact": "v"}}, ["/?k=v", "/?a=1&k=v", "/?k=v&k=w"],
              ["/?k=w", "/?k", "/", "/?K=v"]),
    "prefix": ({"string_match": {"prefix": "v"}}, ["/?k=v", "/?k=vw"], ["/?k=w"]),
    "regex": ({"string_match": {"safe_regex": {"regex": "[0-9]+"}}}, ["/?k=12"], ["/?k=1a"]),
    "present": ({"present_match": True}, ["/?k", "/?k=", "/?k=1"], ["/?j=1", "/"]),
    "name alone": ({}, ["/?k", "/?k=1"], ["/?kk=1"]),
}


@pytest.mark.parametrize("case", QUERIES)
def test_query_parameter_matchers(start, case):
    matcher, matching, others = QUERIES[case]
    proxy = table(start, {"prefix": "/", "query_parameters": [{"name": "k", **matcher}]})
    for path in matching:
        assert answers(proxy, path) == ["0"], path
    for path in others:
        assert answers(proxy, path) == ["none"], path


def test_runtime_fraction_0_and_100(start):
    def fraction(percent):
        return {"prefix": "/", "runtime_fraction": {
            "default_value": {"numerator": percent, "denominator": "HUNDRED"}}}
    proxy = table(start, fraction(0), fraction(100))
    assert set(answers(proxy, *["/"] * 20)) == {"1"}


def test_many_routes_keep_their_order(start):
    matches = [{"path": f"/p{n}"} for n in range(300)] + [{"prefix": "/p"}] + [
        {"path": f"/q{n}"} for n in range(300)]
    proxy = table(start, *matches)
    assert answers(proxy, "/p0", "/p299", "/p300", "/q0", "/q299", "/q300") == [
        "0", "299", "300", "301", "600", "none"]


@pytest.mark.parametrize("match", [{"prefix": ""}, {"prefix": "/"}, {"safe_regex": {"regex": ".*"}}],
                         ids=["no prefix", "prefix", "regex"])
def test_connect_matches_no_match_of_a_path(start, origin, match):
    proxy = start(bootstrap([http_listener(routes=[route(match=match, to="one")])],
                            [cluster("one", origin)]))
    with proxy.client() as client:
        client.send("CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n")
        assert client.response(to="CONNECT").status == 404
    assert origin.requests == []
    assert proxy.get("/").text == "origin"
