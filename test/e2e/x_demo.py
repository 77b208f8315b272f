"""The demo itself: it ends well, and it fails when a request fails."""
import re
import subprocess
import sys

from harness.proxy import REPOSITORY, binary
from harness.stub import stub_binary


def demo(kind, *args):
    """Run tools/demo.py: (exit code, output)."""
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "tools" / "demo.py"), "--proxy", str(binary(kind)),
         "--proxy-kind", kind, "--stub", str(stub_binary()), "--pace", "0.3", *args],
        capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


def test_demo_ends_with_0_failed_requests(kind):
    code, text = demo(kind)
    assert code == 0, text
    assert re.search(r"\n0 failed requests of \d{3,}\n$", text)
    assert len(re.findall(r"^ ?\d+\. ", text, re.M)) == 10
    assert text.count(": ACK") == 9
    assert text.count(": NACK") == 1
    assert "\033[" not in text


def test_demo_fails_when_the_only_origin_dies(kind):
    code, text = demo(kind, "--kill-origin")
    assert code == 1, text
    assert re.search(r"\n\d+ failed requests of \d+:\n", text)
    assert "status 503" in text


def test_demo_says_what_is_missing():
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "tools" / "demo.py"), "--proxy", "/no/such/program"],
        capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2
    assert "/no/such/program" in done.stderr


def test_the_bootstrap_of_the_demo_is_short():
    text = (REPOSITORY / "deploy" / "demo" / "bootstrap.yaml").read_text()
    assert len(text.splitlines()) < 40
