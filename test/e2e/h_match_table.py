"""The truth table of matchers: every kind, against every state of what it looks at.

Each matcher has a virtual host of its own. Envoy and Xylem answer the same requests, and the two
tables must be equal.
"""
import itertools

import pytest

from harness import bootstrap, direct, http_listener, vhost

STRINGS = {
    "exact": {"exact": "one"},
    "exact, any case": {"exact": "ONE", "ignore_case": True},
    "exact nothing": {"exact": ""},
    "prefix": {"prefix": "on"},
    "prefix, any case": {"prefix": "ON", "ignore_case": True},
    "suffix": {"suffix": "ne"},
    "suffix, any case": {"suffix": "NE", "ignore_case": True},
    "contains": {"contains": "n"},
    "contains, any case": {"contains": "N", "ignore_case": True},
    "regex": {"safe_regex": {"regex": "o.e"}},
    "regex of anything": {"safe_regex": {"regex": ".*"}},
    "regex of a list": {"safe_regex": {"regex": "one, ?two"}},
}
SPECIFIERS = {
    "name alone": {},
    "present": {"present_match": True},
    "not present": {"present_match": False},
    "range": {"range_match": {"start": 5, "end": 10}},
    "range of one": {"range_match": {"start": 0, "end": 1}},
    "negative range": {"range_match": {"start": -10, "end": 0}},
    "empty range": {"range_match": {"start": 5, "end": 5}},
    "largest range": {"range_match": {"start": -(2**63), "end": 2**63 - 1}},
    "old exact": {"exact_match": "one"},
    "old prefix": {"prefix_match": "on"},
    "old suffix": {"suffix_match": "ne"},
    "old contains": {"contains_match": "n"},
    "old regex": {"safe_regex_match": {"regex": "o.e"}},
    **{name: {"string_match": matcher} for name, matcher in STRINGS.items()},
}
FLAGS = [{}, {"invert_match": True}, {"treat_missing_header_as_empty": True},
         {"invert_match": True, "treat_missing_header_as_empty": True}]
VALUES = [
    [], [""], ["one"], ["ONE"], ["two"], ["one,two"], ["one", "two"], ["two", "one"],
    ["one", ""], ["", "one"], ["", ""], ["one", "one"], ["zone"], ["on"],
    ["0"], ["-0"], ["5"], ["05"], ["+5"], ["-5"], ["5.0"], ["5e0"], ["0x5"], ["5 "], ["5abc"],
    ["9"], ["10"], ["-10"], ["-11"], ["5", "7"], ["5", "x"], ["x", "5"], ["20", "5"], ["20", "30"],
    ["9223372036854775806"], ["9223372036854775807"], ["9223372036854775808"],
    ["-9223372036854775808"], ["-9223372036854775809"], ["5,7"], ["--5"], ["-"],
]
NAMES = ["x-key", "X-Mixed", "accept", "user-agent", "cookie", "content-type", "via",
         "x-forwarded-proto", "referer"]


def ask(proxy, matches, requests):
    """{(matcher, request): answered by the route of the matcher?}"""
    hosts = [vhost(f"m{number}", [f"m{number}.test"], direct(200, match={"prefix": "/", **match}),
                   direct(404)) for number, match in enumerate(matches)]
    running = proxy(bootstrap([http_listener(vhosts=hosts)]))
    answers = {}
    with running.client() as client:
        for number, (path, headers) in itertools.product(range(len(matches)), requests):
            answer = client.get(path, host=f"m{number}.test", headers=headers)
            answers[number, path, tuple(headers)] = answer.status
    return answers


def compare(start, matches, requests):
    """Every request whose answer is not Envoy's, with the match that gave it."""
    envoy = ask(lambda config: start(config, kind="envoy"), matches, requests)
    xylem = ask(lambda config: start(config, kind="xylem"), matches, requests)
    assert 200 in envoy.values() and 404 in envoy.values()
    return {(str(matches[key[0]]), *key[1:]): (envoy[key], xylem[key])
            for key in envoy if envoy[key] != xylem[key]}


@pytest.mark.parametrize("name", NAMES)
def test_header_matchers_agree(start_both, name):
    matches = [{"headers": [{"name": name, **specifier, **flags}]}
               for specifier, flags in itertools.product(SPECIFIERS.values(), FLAGS)]
    requests = [("/", [(name, value) for value in values]) for values in VALUES]
    assert compare(start_both, matches, requests) == {}


@pytest.mark.parametrize("name", [":path", ":authority", "host", ":method", ":scheme", ":status",
                                  "content-length", "transfer-encoding", "x-request-id"])
def test_matchers_of_special_headers_agree(start_both, name):
    specifiers = list(SPECIFIERS.values()) + [
        {"string_match": {"prefix": "/"}}, {"string_match": {"exact": "GET"}},
        {"string_match": {"suffix": ".test"}}, {"string_match": {"exact": "http"}}]
    matches = [{"headers": [{"name": name, **specifier, **flags}]}
               for specifier, flags in itertools.product(specifiers, FLAGS)]
    requests = [("/", []), ("/one", []), ("/?one", [("content-length", "0")])]
    assert compare(start_both, matches, requests) == {}


QUERIES = ["", "?", "?k", "?k=", "?k=one", "?k=ONE", "?k=two&k=one", "?k=one&k=two", "?K=one",
           "?kk=one", "?a=1&k=one", "?a=1&&k=one", "?k=%6fne", "?%6b=one",
           "?k=one+two", "?k=on%20e", "?k=one=two", "?=one", "?k&k=one", "?&k=one", "?;k=one",
           "?a=1;k=one", "?k=one&", "?k=zone", "?k==one", "?k?=one", "?a?k=one"]


def test_query_parameter_matchers_agree(start_both):
    specifiers = [{}, {"present_match": True}, {"present_match": False},
                  *({"string_match": matcher} for matcher in STRINGS.values()),
                  {"string_match": {"exact": "one two"}}, {"string_match": {"exact": "one=two"}},
                  {"string_match": {"exact": "%6fne"}}]
    matches = [{"query_parameters": [{"name": name, **specifier}]}
               for specifier, name in itertools.product(specifiers, ["k", "%6b", "a?k", "K"])]
    requests = [("/" + query, []) for query in QUERIES]
    assert compare(start_both, matches, requests) == {}
