"""The router's strict_check_headers."""
import pytest

from harness import bootstrap, cluster, http_listener, route
from harness.config import file_log, router_filter

INTERNAL = {"use_remote_address": True, "internal_address_config": {
    "cidr_ranges": [{"address_prefix": "127.0.0.0", "prefix_len": 8}]}}
TIMEOUT, PER_TRY, RETRIES, ON_GRPC, ON = STRICT = [
    "x-envoy-upstream-rq-timeout-ms", "x-envoy-upstream-rq-per-try-timeout-ms", "x-envoy-max-retries",
    "x-envoy-retry-grpc-on", "x-envoy-retry-on"]


@pytest.mark.parametrize("name, value, bad", [
    (TIMEOUT, "5000", False), (TIMEOUT, "x", True), (TIMEOUT, "", True), (TIMEOUT, "-1", True),
    (TIMEOUT, "+7000", False), (TIMEOUT, "18446744073709551616", True), (TIMEOUT, "1.5", True),
    (PER_TRY, "x", True), (RETRIES, "3", False), (RETRIES, "4294967296", False),
    (RETRIES, "x", True), (ON, "5xx", False), (ON, "5xx, reset", False), (ON, "5xx,foo", True),
    (ON, "", False), (ON, "5xx,", False), (ON, "cancelled", True), (ON_GRPC, "cancelled", False),
    (ON_GRPC, "cancelled,5xx", True)])
def test_strict_check_headers(start, origin, tmp_path, name, value, bad):
    """What steers the router is to be valid, of those that may steer it."""
    path = tmp_path / "log"
    fmt = "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %UPSTREAM_CLUSTER%\n"
    strict = {"filters": [router_filter(strict_check_headers=STRICT)],
              "access_log": [file_log(path, fmt)]}
    routes = [{"match": {"path": "/direct"}, "direct_response": {"status": 201}}, route("/", "one")]
    proxy = start(bootstrap([http_listener(routes=routes, **strict, **INTERNAL),
                             http_listener("outside", routes=routes, **strict)],
                            [cluster("one", origin)]))
    answer = proxy.get("/", headers=[(name, value)])
    assert answer.status == (400 if bad else 200)
    assert not bad or answer.text == f"invalid header '{name}' with value '{value}'"
    assert proxy.get("/direct", headers=[(name, value)]).status == 201
    assert proxy.get("/", name="outside", headers=[(name, value)]).status == 200
    proxy.stop()
    assert path.read_text().splitlines()[0] == (
        f"400 IH request_headers_failed_strict_check{{{name}}} one" if bad
        else "200 - via_upstream one")
