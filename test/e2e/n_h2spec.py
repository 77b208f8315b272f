"""h2spec, an outside judge of HTTP/2. It is a Go program: where there is neither it ($H2SPEC, or h2spec in
the PATH) nor a Go toolchain to fetch it, this says that it was skipped. What it finds is also in
test/unit/http/test_codec_h2_floods.c, which always runs."""
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from harness import certs, bootstrap, cluster, http_listener, route
from harness.h2peer import H2Origin, H2Reply

MODULE = "github.com/summerwind/h2spec/cmd/h2spec@v2.6.0+incompatible"
# With codec_type AUTO what does not begin as HTTP/2 is HTTP/1, and gets its 400: in plain text, which
# h2spec cannot read.
AUTO_EXPECTED = {"Sends invalid connection preface"}


def h2spec():
    found = os.environ.get("H2SPEC") or shutil.which("h2spec")
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if found or not go:
        return found
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "xylem" / "h2spec"
    if not (cache / "h2spec").exists():
        done = subprocess.run([go, "install", MODULE], capture_output=True, text=True, timeout=300,
                              env={**os.environ, "GOBIN": str(cache)}, check=False)
        if done.returncode:
            pytest.skip(f"h2spec could not be built: {done.stderr[-500:]}")
    return str(cache / "h2spec")


@pytest.mark.only("xylem", reason="Envoy 1.40 fails eleven of its cases")
@pytest.mark.parametrize("strict", [False, True], ids=["normal", "strict"])
@pytest.mark.parametrize("codec", ["AUTO", "HTTP2", "TLS"])
def test_h2spec(start, closing, codec, strict, kind):
    program = h2spec()
    if not program:
        pytest.skip("neither h2spec nor a Go toolchain is here")
    origin = closing(H2Origin())
    origin.reply = H2Reply(body=b"x" * 2000)
    listener = http_listener(routes=[route("/", "one")],
                             codec_type="AUTO" if codec == "TLS" else codec)
    if codec == "TLS":
        listener["filter_chains"][0]["transport_socket"] = certs.downstream(
            certs.Authority().issue("web", dns=["a.test"]), alpn_protocols=["h2"])
    proxy = start(bootstrap(
        [listener],
        [cluster("one", origin, http={"explicit_http_config": {"http2_protocol_options": {}}})]))
    done = subprocess.run(
        [program, "-h", "127.0.0.1", "-p", str(proxy.port()), "-P", "/", "--timeout", "5"] +
        (["--strict"] if strict else []) + (["-t", "-k"] if codec == "TLS" else []), capture_output=True, text=True, timeout=300, check=False)
    summary = re.search(r"(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed", done.stdout)
    assert summary, done.stdout[-2000:] + done.stderr[-2000:]
    failures = done.stdout.partition("Failures:")[2]
    failed = {name for name in re.findall(r"× \d+: (.*)", failures)}
    assert failed <= (AUTO_EXPECTED if codec == "AUTO" else set()), failures
    assert int(summary[1]) > 140 and int(summary[3]) <= 1
