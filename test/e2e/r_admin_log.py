"""The access log of the admin pages, and when statistics are flushed."""
import re

import pytest

from harness import bootstrap, difference, direct, http_listener, wait_for
from harness.config import admin_block, file_log

LINE = re.compile(r'\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\] "GET /ready\?x HTTP/1\.1" 200 - 0 5 '
                  r'\d+ - "[0-9.]+" "me" "-" "admin" "-"')


def asked(proxy, path):
    """The lines of a log for one request; those of the harness are left out."""
    proxy.admin("/ready?x", headers=[("user-agent", "me")])
    return wait_for(lambda: [line for line in path.read_text().splitlines() if "?x" in line],
                    what=f"a line in {path}")


def test_access_log_path_of_the_admin_pages(start, tmp_path):
    proxy = start(bootstrap(admin={**admin_block(), "access_log_path": str(tmp_path / "log")}))
    lines = asked(proxy, tmp_path / "log")
    assert len(lines) == 1 and LINE.fullmatch(lines[0]), lines


def test_access_logs_of_the_admin_pages(start, tmp_path):
    proxy = start(bootstrap(admin={**admin_block(), "access_log": [
        file_log(tmp_path / "one", "%REQ(:PATH)% %RESPONSE_CODE% %BYTES_SENT%\n"),
        {**file_log(tmp_path / "two", "%REQ(:METHOD)% %REQ(:PATH)%\n"),
         "filter": {"header_filter": {"header": {"name": "x-log", "present_match": True}}}}]}))
    assert asked(proxy, tmp_path / "one") == ["/ready?x 200 5"]
    proxy.admin("/stats?x", headers=[("x-log", "1")])
    wait_for(lambda: (tmp_path / "two").read_text() == "GET /stats?x\n", what="the second log")


def test_both_kinds_of_admin_logs_are_written(start, tmp_path):
    proxy = start(bootstrap(admin={
        **admin_block(), "access_log_path": str(tmp_path / "old"),
        "access_log": [file_log(tmp_path / "new", "%REQ(:PATH)%\n")]}))
    assert asked(proxy, tmp_path / "new") == ["/ready?x"]
    assert LINE.fullmatch(asked(proxy, tmp_path / "old")[0])


@pytest.mark.parametrize("field", ["access_log_path", "access_log"])
def test_admin_log_that_cannot_be_written_is_refused(kind, tmp_path, field):
    import json

    from harness.proxy import run_once
    path = "/nosuch/folder/log"
    config = bootstrap(admin={**admin_block(), field: path if field == "access_log_path"
                              else [file_log(path)]})
    (tmp_path / "b.yaml").write_text(json.dumps(config))
    code, out, err = run_once(kind, ["-c", "b.yaml", "--mode", "validate"], tmp_path)
    assert code == 1
    assert path in out + err


def intervals(proxy):
    """The values of one histogram since the last flush, and of all time."""
    line = next(line for line in proxy.admin("/stats").text.splitlines()
                if line.startswith("http.ingress.downstream_rq_time: "))
    return line.partition(": ")[2]


def table(start, **fields):
    proxy = start(bootstrap([http_listener(routes=[direct(200)])], **fields))
    assert proxy.get("/").status == 200
    return proxy


def test_stats_are_flushed_at_their_interval(start):
    proxy = table(start, stats_flush_interval="0.02s")
    wait_for(lambda: intervals(proxy).startswith("P0(nan,0)"), what="two flushes")


@difference("Whoever looks at a histogram wants what was recorded, not what was before the last flush.",
            envoy="shows the values of all time as they were at the last flush",
            xylem="shows them as they are")
def test_stats_are_not_flushed_before_their_interval(start, kind):
    proxy = table(start, stats_flush_interval="299s")
    if kind == "xylem":
        wait_for(lambda: intervals(proxy) != "No recorded values", what="a recorded value")
    for _ in range(3):
        seen = intervals(proxy)
        assert seen.startswith("P0(nan,") if kind == "xylem" else seen == "No recorded values"


def test_stats_are_flushed_by_who_looks_at_them(start):
    proxy = table(start, stats_flush_on_admin=True)
    wait_for(lambda: intervals(proxy) != "No recorded values", what="a recorded value")
    assert intervals(proxy).startswith("P0(nan,0)")
    proxy.get("/")
    wait_for(lambda: intervals(proxy).startswith("P0(0,0)"), what="the new value")
