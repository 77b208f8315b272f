"""Operators of access logs and header values: what each prints, as text and in JSON, and what is
refused."""
import json


import pytest

from harness import (Reply, bootstrap, cluster, difference, direct, endpoint, http_listener,
                     refused_port, route, vhost, wait_for)
from harness.config import add_header, file_log
from u_files import Files, boot

METADATA = {"filter_metadata": {"n.s": {
    "s": "text", "n": 5, "t": True, "z": None, "l": [1, "a", {"b": 2}],
    "o": {"i": "in\"ner", "e": {}}, "million": 1234567, "round": 100000000, "less": -3}}}
WHOLE = ('{"l":[1,"a",{"b":2}],"less":-3,"million":1234567,"n":5,"o":{"e":{},"i":"in\\"ner"},'
         '"round":1e+08,"s":"text","t":true,"z":null}')


def among(*operators):
    return "COALESCE(%s)" % json.dumps({"operators": operators})


# What a request gets that has a query, is routed with its path and host rewritten, and answered by
# an origin: the text, and the value in JSON (None: null, which is "-" as text).
VALUES = {
    "UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT": "127.0.0.1",
    "UPSTREAM_HOST_NAMES_ATTEMPTED": "one.test",
    "UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT": "one.test",
    "BYTES_RETRANSMITTED": 0, "PACKETS_RETRANSMITTED": 0, "ROUNDTRIP_DURATION": None,
    "DOWNSTREAM_LOCAL_CLOSE_REASON": None, "DOWNSTREAM_DETECTED_CLOSE_TYPE": "Normal",
    "UPSTREAM_LOCAL_CLOSE_REASON": None, "UPSTREAM_DETECTED_CLOSE_TYPE": "Normal",
    "CUSTOM_FLAGS": "", "LOCAL_REPLY_BODY": "", "TRACE_ID": None, "SPAN_ID": None,
    "RESPONSE_TRAILERS_BYTES": 0, "RESPONSE_CODE()": 200, "PROTOCOL()": "HTTP/1.1",
    "DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID": "", "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID": "",
    "UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID": "",
    "FILTER_STATE(a)": None, "FILTER_STATE(a:)": None, "FILTER_STATE(a:PLAIN):3": None,
    "FILTER_STATE(a:TYPED:)": None, "UPSTREAM_FILTER_STATE(a)": None,
    "UPSTREAM_FILTER_STATE(a:FIELD:b)": None,
    "DYNAMIC_METADATA(n.s)": None, "DYNAMIC_METADATA(n.s:s):3": None,
    "CLUSTER_METADATA(n.s)": (WHOLE, json.loads(WHOLE)),
    "CLUSTER_METADATA(n.s:s)": "text", "CLUSTER_METADATA(n.s:n)": 5,
    "CLUSTER_METADATA(n.s:t)": ("true", True), "CLUSTER_METADATA(n.s:z)": None,
    "CLUSTER_METADATA(n.s:l)": ('[1,"a",{"b":2}]', [1, "a", {"b": 2}]),
    "CLUSTER_METADATA(n.s:o:i)": "in\"ner", "CLUSTER_METADATA(n.s:o:e)": ("{}", {}),
    "CLUSTER_METADATA(n.s:million)": 1234567, "CLUSTER_METADATA(n.s:round)": ("1e+08", 1e8),
    "CLUSTER_METADATA(n.s:less)": -3,
    "CLUSTER_METADATA(n.s:none)": None, "CLUSTER_METADATA(none)": None,
    "CLUSTER_METADATA(n.s:s:x)": None, "CLUSTER_METADATA(n.s:)": None,
    "CLUSTER_METADATA(:s)": None, "CLUSTER_METADATA(n.s:l:0)": None,
    "UPSTREAM_METADATA(n.s:s)": "text", "UPSTREAM_METADATA(n.s)": (WHOLE, json.loads(WHOLE)),
    "METADATA(CLUSTER:n.s:s):2": "te", "METADATA(CLUSTER:n.s:s):0": "",
    "METADATA(CLUSTER:n.s:l):4": ('[1,"', [1, "a", {"b": 2}]),
    "METADATA(CLUSTER:n.s:n):0": ("", 5), "METADATA(ROUTE:n.s:s)": "text",
    "METADATA(ROUTE)": None, "METADATA(ROUTE:)": None, "METADATA(UPSTREAM_HOST:n.s:n)": 5,
    "METADATA(LISTENER:n.s:s)": "text", "METADATA(LISTENER_FILTER_CHAIN:n.s:s)": "text",
    "METADATA(VIRTUAL_HOST:n.s:s)": "text", "METADATA(DYNAMIC:n.s:s)": None,
    "QUERY_PARAMS": "a=1&b=%41x%20%zz", "QUERY_PARAMS()": "a=1&b=%41x%20%zz",
    "QUERY_PARAMS(ORIG):5": "a=1&b", "QUERY_PARAMS(DECODED)": "a=1&b=Ax%20zz",
    "QUERY_PARAMS(DECODED):7": "a=1&b=A", "QUERY_PARAM(b)": "Ax %zz", "QUERY_PARAM(b):1": "A",
    "QUERY_PARAM(c)": None,
    "REQUESTED_SERVER_NAME": None, "REQUESTED_SERVER_NAME(SNI_ONLY)": None,
    "REQUESTED_SERVER_NAME(SNI_FIRST)": "a.test", "REQUESTED_SERVER_NAME(HOST_FIRST)": "a.test",
    "REQUESTED_SERVER_NAME(HOST_FIRST:ORIG)": "a.test",
    "REQUESTED_SERVER_NAME(SNI_FIRST:HOST)": "other.test",
    "REQUESTED_SERVER_NAME(SNI_FIRST:ORIG_OR_HOST:X)": "a.test",
    "REQUESTED_SERVER_NAME(:HOST)": None,
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT()": "127.0.0.1",
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(16)": "127.0.0.0/16",
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(0)": "0.0.0.0/0",
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(33)": "127.0.0.1/32",
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(008)": "127.0.0.0/8",
    "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT(31)": "127.0.0.0/31",
    "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT(7)": "126.0.0.0/7",
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT(1)": "0.0.0.0/1",
    "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT(8)": "127.0.0.0/8",
    "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(20)": "127.0.0.0/20",
    "REQ(?x-a)": "abcdef", "REQ(x-a):0": "", "REQ(x-a):2": "ab", "REQ(x-a):99999999999": "abcdef",
    "REQ(none?x-a):007": "abcdef", "REQ(x-e)": "", "REQ(x-e?x-a)": "", "REQ(none)": None,
    "ENVIRONMENT(NO_SUCH_VARIABLE)": "-", "ENVIRONMENT(NO_SUCH_VARIABLE):0": "-",
    "ENVIRONMENT(HOME):0": "",
    "PATH": "/old?a=1&b=%41x%20%zz", "PATH:4": "/old", "PATH(NQ)": "/old", "PATH(NQ:)": "/old",
    "PATH(:PATH)": "/new?a=1&b=%41x%20%zz", "PATH(NQ:ORIG):2": "/o", "PATH():0": "",
    "START_TIME(%%)": "%", "GRPC_STATUS(NUMBER)": None,
    among("REQUESTED_SERVER_NAME", {"command": "REQ", "param": ":authority"}): "other.test",
    among({"command": "REQ", "param": "none"}, {"command": "REQ", "param": "x-a", "max_length": 3},
          "PROTOCOL"): "abc",
    among({"command": "REQ", "param": "x-a", "max_length": 5000000000}) + ":4": "abcd",
    among("TRACE_ID", "REQUESTED_SERVER_NAME"): None,
    among("RESPONSE_FLAGS"): "-",
    among("TRACE_ID", "RESPONSE_CODE") + ":2": ("20", 200),
    among({"command": "CLUSTER_METADATA", "param": "n.s:l"}) + ":3": ("[1,", [1, "a", {"b": 2}]),
    among({"command": "METADATA", "param": "CLUSTER:n.s:s"}) + ":3": "tex",
    among({"command": "COALESCE", "param": json.dumps({"operators": ["PROTOCOL"]})}): "HTTP/1.1",
    among("CUSTOM_FLAGS", "PROTOCOL"): "", among({"command": "REQ", "param": "x-e"}, "PROTOCOL"): "",
}


def logs(folder, operators, omit=False):
    text = file_log(folder / "text", "\x1f".join(f"%{o}%" for o in operators) + "\n")
    made = file_log(folder / "json")
    made["typed_config"]["log_format"] = {"json_format": {o: f"%{o}%" for o in operators}}
    for log in text, made:
        log["typed_config"]["log_format"]["omit_empty_values"] = omit
    return [text, made]


def world(origin, **manager):
    """A listener, routes, clusters and hosts, all of them with metadata."""
    made = http_listener(vhosts=[vhost(
        "all", ["*"], route("/old", "one", metadata=METADATA, prefix_rewrite="/new",
                            host_rewrite_literal="other.test"), metadata=METADATA)], **manager)
    made["metadata"] = made["filter_chains"][0]["metadata"] = METADATA
    return bootstrap([made], [cluster("one", endpoint(origin, hostname="one.test", metadata=METADATA),
                                      metadata=METADATA)])


def ask(proxy):
    return proxy.get("/old?a=1&b=%41x%20%zz", headers={"x-a": "abcdef", "x-e": ""})


@pytest.mark.parametrize("omit", [False, True], ids=["all", "omit"])
def test_values(start, origin, tmp_path, omit):
    proxy = start(world(origin, access_log=logs(tmp_path, VALUES, omit)))
    assert ask(proxy).status == 200
    proxy.stop()
    texts, values = {}, {}
    for name, value in VALUES.items():
        text, value = value if isinstance(value, tuple) else (str(value), value)
        texts[name] = text if value is not None else "" if omit else "-"
        if value is not None or not omit:
            values[name] = value
    line = (tmp_path / "text").read_text().rstrip("\n").split("\x1f")
    assert dict(zip(VALUES, line, strict=True)) == texts
    assert json.loads((tmp_path / "json").read_text()) == values


def test_values_of_a_connection(start, origin, tmp_path):
    """Nothing of a request in the log of a listener, but all that is of the connection."""
    config = world(origin)
    config["static_resources"]["listeners"][0]["access_log"] = logs(tmp_path, VALUES)
    proxy = start(config)
    assert ask(proxy).status == 200
    proxy.stop()
    values = json.loads((tmp_path / "json").read_text())
    assert {name: value for name, value in values.items() if value not in (None, "", 0)} == {
        name: value for name, value in VALUES.items()
        if name.startswith(("DOWNSTREAM_", "METADATA(LISTENER")) and value or name == "PROTOCOL()"
    } | {"START_TIME(%%)": "%", "ENVIRONMENT(NO_SUCH_VARIABLE)": "-",
         "ENVIRONMENT(NO_SUCH_VARIABLE):0": "-",
         among("RESPONSE_FLAGS"): "-",
         among({"command": "COALESCE", "param": json.dumps({"operators": ["PROTOCOL"]})}):
             "HTTP/1.1",
         among({"command": "REQ", "param": "none"},
               {"command": "REQ", "param": "x-a", "max_length": 3}, "PROTOCOL"): "HTTP/1.1",
         among({"command": "REQ", "param": "x-e"}, "PROTOCOL"): "HTTP/1.1"}


ATTEMPTS = ["UPSTREAM_HOSTS_ATTEMPTED", "UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT",
            "UPSTREAM_HOST_NAMES_ATTEMPTED", "UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT",
            "UPSTREAM_CONNECTION_ID", "UPSTREAM_CONNECTION_IDS_ATTEMPTED",
            "UPSTREAM_CONNECTION_POOL_READY_DURATION", "UPSTREAM_REQUEST_ATTEMPT_COUNT",
            "COMMON_DURATION(US_RX_BEG:US_RX_BODY_BEG:ns)",
            "COMMON_DURATION(US_RX_BODY_BEG:US_RX_END:ns)"]


def test_attempts(start, origins, tmp_path):
    """What is known of an attempt's connection is the last one's; none: nothing but when it was
    known that there is none."""
    one, two = origins(2)
    one.reply = two.reply = Reply(503)
    port, _kept = refused_port()
    retry = {"retry_on": "5xx,connect-failure", "num_retries": 2}
    proxy = start(bootstrap(
        [http_listener(routes=[
            route("/once", "one"), route("/both", "both", retry_policy=retry),
            route("/none", "none", retry_policy=retry), direct(200)],
            access_log=logs(tmp_path, ATTEMPTS))],
        [cluster("one", one), cluster("both", one, endpoint(two, hostname="two.test")),
         cluster("none", endpoint(port, hostname="none.test"))]))
    for path in "/once", "/once", "/both", "/none", "/direct":
        proxy.get(path)
    proxy.stop()
    lines = [json.loads(line) for line in (tmp_path / "json").read_text().splitlines()]
    once, again, both, none, nothing = lines
    text = (tmp_path / "text").read_text().splitlines()[0].split("\x1f")
    assert text == [str(once[name]) for name in ATTEMPTS]
    assert once[ATTEMPTS[0]] == once[ATTEMPTS[2]] == f"127.0.0.1:{one.port}"
    assert once[ATTEMPTS[1]] == once[ATTEMPTS[3]] == "127.0.0.1"
    number = once["UPSTREAM_CONNECTION_ID"]
    assert number > 0 and once["UPSTREAM_CONNECTION_IDS_ATTEMPTED"] == str(number)
    assert again["UPSTREAM_CONNECTION_ID"] == number
    last = both[ATTEMPTS[0]]
    assert both[ATTEMPTS[2]] == {f"127.0.0.1:{one.port}": f"127.0.0.1:{one.port}",
                                 f"127.0.0.1:{two.port}": "two.test"}[last]
    assert both["UPSTREAM_CONNECTION_ID"] > 0
    assert both["UPSTREAM_CONNECTION_IDS_ATTEMPTED"] == str(both["UPSTREAM_CONNECTION_ID"])
    for line in once, again, both:
        assert line["UPSTREAM_CONNECTION_POOL_READY_DURATION"] >= 0
        assert all(line[name] >= 0 for name in ATTEMPTS[-2:])
    for line in none, nothing:
        assert line["UPSTREAM_CONNECTION_ID"] == 0
        assert [line[name] for name in ATTEMPTS if "ATTEMPTED" in name or "(" in name] == [None] * 7
    assert none["UPSTREAM_CONNECTION_POOL_READY_DURATION"] >= 0
    assert nothing["UPSTREAM_CONNECTION_POOL_READY_DURATION"] is None
    assert [line["UPSTREAM_REQUEST_ATTEMPT_COUNT"] for line in lines] == [1, 1, 3, 3, 0]


def test_connections_have_numbers_of_their_own(start, origin, tmp_path):
    """Of whatever worker, on either side."""
    log = file_log(tmp_path / "log", "%CONNECTION_ID% %UPSTREAM_CONNECTION_ID%\n")
    proxy = start(bootstrap([http_listener(routes=[route("/", "one")], access_log=[log])],
                            [cluster("one", origin)]), concurrency=4)
    clients = [proxy.client() for _ in range(40)]
    for client in clients:
        assert client.get("/").status == 200
        client.close()
    proxy.stop()
    seen = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    mine, theirs = [number for number, _ in seen], {number for _, number in seen}
    assert len(set(mine)) == 40 and not set(mine) & theirs


IN_REQUEST = ["[%REQ(none)%]", "%CLUSTER_METADATA(n.s:s)%", "%METADATA(ROUTE:n.s:o)%",
              "%UPSTREAM_METADATA(n.s:s)%|", "%QUERY_PARAM(b)%",
              "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(8)%", f"%{among('TRACE_ID', 'PROTOCOL')}%",
              "%REQ(x-e)%|%REQ(x-a):3%", "%LOCAL_REPLY_BODY%|", "%BYTES_RETRANSMITTED%"]
IN_RESPONSE = ["%UPSTREAM_METADATA(n.s:s)%", "%CLUSTER_METADATA(n.s:n)%",
               "%METADATA(VIRTUAL_HOST:n.s:l)%", "%METADATA(LISTENER:n.s:s):2%",
               "%QUERY_PARAMS(DECODED)%", "%REQUESTED_SERVER_NAME(HOST_FIRST)%"]


def test_values_of_headers(start, origin):
    config = world(origin)
    manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]
    one, = manager["typed_config"]["route_config"]["virtual_hosts"][0]["routes"]
    one["request_headers_to_add"] = [add_header(f"q-{i}", v) for i, v in enumerate(IN_REQUEST)]
    one["response_headers_to_add"] = [add_header(f"r-{i}", v) for i, v in enumerate(IN_RESPONSE)]
    answer = ask(start(config))
    assert [origin.last.header(f"q-{i}") for i in range(len(IN_REQUEST))] == [
        "[]", "text", '{"e":{},"i":"in\\"ner"}', "|", "Ax %zz", "127.0.0.0/8", "HTTP/1.1", "|abc",
        "|", "0"]
    assert [answer.header(f"r-{i}") for i in range(len(IN_RESPONSE))] == [
        "text", "5", '[1,"a",{"b":2}]', "te", "a=1&b=Ax%20zz", "a.test"]


def test_json_without_what_is_missing(start, tmp_path):
    """omit_empty_values: no key for null, no object without a key; lists stay."""
    shape = {"none": "%REQ(NONE)%", "two": "%REQ(NONE)%%REQ(NONE)%", "mixed": "a%REQ(NONE)%",
             "list": ["%REQ(NONE)%", "x", "%PROTOCOL%"], "object": {"a": "%REQ(NONE)%"},
             "lists": [["%REQ(NONE)%"], {"q": "%REQ(NONE)%"}], "null": None, "empty": "",
             "number": 100000000, "true": True, "some": {"a": "%REQ(NONE)%", "b": "%PROTOCOL%"}}
    made = []
    for omit in (False, True):
        made.append(file_log(tmp_path / str(omit)))
        made[-1]["typed_config"]["log_format"] = {"json_format": shape, "omit_empty_values": omit}
    proxy = start(bootstrap([http_listener(routes=[direct(200)], access_log=made)]))
    proxy.get("/")
    proxy.stop()
    assert json.loads((tmp_path / "False").read_text()) == {
        "none": None, "two": "--", "mixed": "a-", "list": [None, "x", "HTTP/1.1"],
        "object": {"a": None}, "lists": [[None], {"q": None}], "null": None, "empty": "",
        "number": 1e8, "true": True, "some": {"a": None, "b": "HTTP/1.1"}}
    assert json.loads((tmp_path / "True").read_text()) == {
        "two": "", "mixed": "a", "list": ["x", "HTTP/1.1"], "lists": [[]], "empty": "",
        "number": 1e8, "true": True, "some": {"b": "HTTP/1.1"}}
    assert '"number":1e+08' in (tmp_path / "True").read_text()


QUERIES = {"": "", "b=%7e%2F%3D%26%25%2b%23%3f%60": "b=~/=&%+#?`", "%20%0a%22%3c%3E%5C%5e%7b%7C%7d":
           "%20%0a%22%3c%3E%5C%5e%7b%7C%7d", "%00%7f%80%C3%A9": "%00%7f%80%C3%A9", "%zz": "zz",
           "%1g%g1": "1gg1", "%": "%", "%2": "%2", "%%41": "A", "%4%41": "4A", "%4a%": "J%",
           "a+b": "a+b", "=x&&": "=x&&"}


def test_decoded_queries(start, tmp_path):
    log = file_log(tmp_path / "log", "%QUERY_PARAMS(DECODED)%\n")
    proxy = start(bootstrap([http_listener(routes=[direct(200)], access_log=[log])]))
    for query in QUERIES:
        assert proxy.get(f"/?{query}").status == 200
    proxy.stop()
    lines = (tmp_path / "log").read_text().split("\n")
    assert dict(zip(QUERIES, lines)) == QUERIES


NAME = "Invalid header configuration. Format string contains invalid characters."
NEWLINE = "Invalid header configuration. Format string contains newline."
STATE = "Invalid filter state serialize type, FIELD should be used with the field name."
ENTRY = ("COALESCE: failed to parse operator at index 0: operator entry must be either a string "
         "(command name) or an object with 'command' field")
ONE = "COALESCE: failed to parse operator at index 0: "


def nowhere(text):
    return f"Incorrect configuration: {text}. Couldn't find valid command at position 0"


# Each with how both begin to say why not.
REFUSED = {
    "%REQ(a b)%": NAME, "%REQ(a?b c)%": NAME, "%REQ(:)%": NAME, "%REQ(a:b)%": NAME,
    "%REQ(a/b)%": NAME, "%RESP(a;b)%": NAME, "%TRAILER(a\")%": NAME, "%REQ(a(b)%": NAME,
    "%REQ(\u00e9)%": NAME, "%REQ(a\rb)%": NAME, "%REQ(a?b?c)%":
        "More than 1 alternative header specified in token: a?b?c",
    "%REQ()%": "REQ requires parameters", "%REQ():3%": "REQ requires parameters",
    "%REQ(a):%": nowhere("%REQ(a):%"), "%REQ(a\nb)%": nowhere("%REQ(a\nb)%"),
    "%REQ(a):99999999999999999999999%": nowhere("%REQ(a):99999999999999999999999%"),
    "%REQ(a):-1%": nowhere("%REQ(a):-1%"), "%req(a)%": nowhere("%req(a)%"),
    "%START_TIME(%Y%n)%": NEWLINE, "%START_TIME(%En)%": NEWLINE, "%EMIT_TIME(%-0n)%": NEWLINE,
    "%START_TIME(%12On)%": NEWLINE, "%UPSTREAM_PEER_CERT_V_END(%%n)%": NEWLINE,
    "%START_TIME(%Y\n)%": nowhere("%START_TIME(%Y\n)%"),
    "%REQ_WITHOUT_QUERY(a)%": "Not supported field in StreamInfo: REQ_WITHOUT_QUERY",
    "%QUERY_PARAMS(orig)%":
        "Invalid QUERY_PARAMS option: 'orig', only 'ORIG'/'DECODED' are allowed",
    "%REQUESTED_SERVER_NAME(X)%": "Invalid REQUESTED_SERVER_NAME option: 'X', only "
                                  "'SNI_ONLY'/'SNI_FIRST'/'HOST_FIRST' are allowed",
    "%REQUESTED_SERVER_NAME(SNI_ONLY:X)%": "Invalid REQUESTED_SERVER_NAME option: 'X', only "
                                           "'ORIG_OR_HOST'/'HOST'/'ORIG' are allowed",
    "%REQUESTED_SERVER_NAME:5%": "REQUESTED_SERVER_NAME does not allow length to be specified.",
    "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(8):3%":
        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT does not allow length to be specified.",
    "%UPSTREAM_WIRE_BYTES_SENT:3%":
        "UPSTREAM_WIRE_BYTES_SENT does not take any parameters or length",
    "%CUSTOM_FLAGS(x)%": "CUSTOM_FLAGS does not take any parameters or length",
    "%CLUSTER_METADATA(a):3%": "CLUSTER_METADATA does not allow length to be specified.",
    "%UPSTREAM_METADATA()%": "UPSTREAM_METADATA requires parameters",
    "%METADATA%": " is not supported type of metadata",
    "%METADATA(route:a)%": "route is not supported type of metadata",
    "%FILTER_STATE%": "Invalid filter state configuration, key cannot be empty.",
    "%FILTER_STATE(a:FIELD)%": STATE, "%FILTER_STATE(a:FIELD:)%": STATE,
    "%FILTER_STATE(a:PLAIN:b)%": STATE, "%UPSTREAM_FILTER_STATE(a:X)%":
        "Invalid filter state serialize type, only support PLAIN/TYPED/FIELD.",
    "%COMMON_DURATION(X):5%": "COMMON_DURATION does not allow length to be specified.",
    "%GRPC_STATUS(X):5%": "GRPC_STATUS does not allow length to be specified.",
    "%COALESCE%": "COALESCE requires parameters",
    "%COALESCE(x)%": "COALESCE: failed to parse JSON configuration:",
    "%COALESCE({\"operators\":[\"PROTOCOL\"]}x)%": "COALESCE: failed to parse JSON configuration:",
    "%COALESCE({})%": "COALESCE: JSON configuration must contain 'operators' array",
    "%COALESCE({\"operators\":5})%": "COALESCE: 'operators' must be an array",
    "%COALESCE({\"operators\":[]})%": "COALESCE: 'operators' array must not be empty",
    f"%{among(5)}%": ENTRY, f"%{among(None)}%": ENTRY, f"%{among(['REQ'])}%": ENTRY,
    f"%{among('NONE')}%": ONE, f"%{among('%PROTOCOL%')}%": ONE,
    f"%{among('REQ')}%": ONE + "REQ requires parameters",
    f"%{among({'param': 'x'})}%": ONE + "operator object must have 'command' field",
    f"%{among({'command': 'REQ', 'param': 5})}%": ONE + "'param' field must be a string",
    f"%{among({'command': 'REQ', 'param': 'a', 'max_length': 0})}%":
        ONE + "'max_length' must be a positive integer",
    f"%{among({'command': 'REQ', 'param': 'a', 'max_length': '3'})}%":
        ONE + "'max_length' field must be an integer",
    f"%{among({'command': 'PROTOCOL', 'max_length': 3})}%":
        ONE + "PROTOCOL does not take any parameters or length",
}


def verdicts(start, folder, formats):
    """What the proxy says of listeners with these formats: "" or the refusal."""
    made = []
    for n, text in enumerate(formats):
        made.append({"@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
                     **http_listener(f"l{n}", routes=[direct(200)],
                                     access_log=[file_log("/dev/null", text)])})
    files = Files(folder / "files")
    files.move("lds.json", *made)
    proxy = start(boot(files, lds=files.source("lds.json")))

    def listeners():
        for part in json.loads(proxy.admin("/config_dump").body)["configs"]:
            if part["@type"].endswith("ListenersConfigDump"):
                found = part.get("dynamic_listeners", [])
                return found if len(found) >= len(made) else None  # Envoy may tell one twice
    said = {}
    for listener in wait_for(listeners, what="all listeners"):
        error = listener.get("error_state", {})
        name = listener.get("name") or error["failed_configuration"]["name"]
        said[formats[int(name[1:])]] = error.get("details", "")
    return said


def test_what_is_refused(start, tmp_path):
    said = verdicts(start, tmp_path, [*REFUSED, "%PROTOCOL%"])
    assert said.pop("%PROTOCOL%") == ""
    path = "filter_chains[0]: filters[0]: access_log[0]: "
    assert {text for text, why in REFUSED.items()
            if not said[text].removeprefix(path).startswith(why)} == set(), said


def test_what_is_taken(start, tmp_path):
    assert set(verdicts(start, tmp_path, [f"%{name}%" for name in VALUES]).values()) == {""}


@difference("what would leave an address whole that was to be cut is no length of a network",
            envoy="takes any word for one and cuts nothing; of -1 nothing is left",
            xylem="refuses it")
def test_networks_that_are_none(start, kind, tmp_path):
    said = verdicts(start, tmp_path, [
        f"%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT({bits})%" for bits in ("x", "-1", "16/8")])
    assert all(("expected the length of a network" in why) == (kind == "xylem")
               for why in said.values()), said


@difference("a library for expressions would be larger than all else that reads configuration",
            envoy="evaluates them", xylem="refuses them by name")
def test_expressions(start, kind, tmp_path):
    said = verdicts(start, tmp_path, ["%CEL(request.path)%", "%TYPED_CEL(response.code)%"])
    assert all(("is not implemented" in why) == (kind == "xylem") for why in said.values()), said


@pytest.mark.parametrize("name, extension", [
    ("req_without_query", "req_without_query.v3.ReqWithoutQuery"),
    ("metadata", "metadata.v3.Metadata")])
def test_formatters(start, origin, tmp_path, name, extension):
    """REQ_WITHOUT_QUERY is there for those alone who name its formatter."""
    operator = {"req_without_query": "%REQ_WITHOUT_QUERY(:PATH)%",
                "metadata": "%METADATA(CLUSTER:n.s:s)%"}[name]
    log = file_log(tmp_path / "log", operator + "\n")
    log["typed_config"]["log_format"]["formatters"] = [{
        "name": f"envoy.formatter.{name}",
        "typed_config": {"@type": f"type.googleapis.com/envoy.extensions.formatter.{extension}"}}]
    proxy = start(world(origin, access_log=[log]))
    assert ask(proxy).status == 200
    proxy.stop()
    assert (tmp_path / "log").read_text() == {"req_without_query": "/new\n",
                                              "metadata": "text\n"}[name]
