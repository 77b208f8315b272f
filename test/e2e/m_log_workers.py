"""One file that several workers write to."""
import contextlib

from harness import bootstrap, difference, direct, http_listener
from harness.config import file_log


@difference("A worker writes its lines without asking the others, a block at a time.",
            envoy="writes lines of all workers as requests end, behind a lock",
            xylem="has those of a connection, and of a worker, in order; another worker's may come before "
            "or behind by up to the flush interval: %START_TIME% tells")
def test_lines_of_several_workers(start, tmp_path, kind):
    path = tmp_path / "log"
    proxy = start(bootstrap([http_listener(routes=[direct(200)], access_log=[
        file_log(path, "%REQ(:PATH)%\n")])]), concurrency=3)
    asked = []
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(proxy.client()) for _ in range(12)]
        for turn in range(3):
            for number, client in enumerate(clients):
                asked.append(f"/{number}/{turn}")
                assert client.get(asked[-1]).status == 200
    proxy.stop()
    lines = path.read_text().splitlines()
    if kind == "envoy":
        assert lines == asked
    assert sorted(lines) == sorted(asked)
    for number in range(len(clients)):
        one = f"/{number}/"
        assert [line for line in lines if line.startswith(one)] == [one + str(n) for n in range(3)]
