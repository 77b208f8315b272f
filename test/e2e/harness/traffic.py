"""Requests that go on in the background while a scenario changes the configuration."""
import threading

from .client import Client
from .waiting import wait_for


class Traffic:
    """Keep-alive connections that repeat one request; nothing is retried, every answer is checked.

    As a context manager: at the end all answers must have been good and no connection may have
    been closed. expect: the bodies an answer may have (None: any body with status 200).
    """

    def __init__(self, port, connections=2, path="/", host="a.test", expect=None):
        self.port, self.path, self.host = port, path, host
        self.expect = set(expect) if expect else None
        self.bodies = []
        self.problems = []
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._run, daemon=True)
                        for _ in range(connections)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        self.go_on(1)
        return self

    def stop(self):
        """No further requests: what comes now may break."""
        self.stopping.set()
        for thread in self.threads:
            thread.join(10)

    def __exit__(self, kind, *_):
        self.stop()
        if kind is None:
            assert self.problems == []

    def go_on(self, more=20):
        """Wait until that many further requests have been answered."""
        target = len(self.bodies) + more
        wait_for(lambda: self.problems or len(self.bodies) >= target, what="more traffic")
        assert self.problems == []

    def wait_only(self, *bodies, run=20):
        """Wait until the newest answers are these bodies and no other."""
        wait_for(lambda: self.problems or (len(self.bodies) >= run
                                           and set(self.bodies[-run:]) == set(bodies)),
                 what=f"only {bodies} (now {set(self.bodies[-run:])})")
        assert self.problems == []

    def _run(self):
        try:
            with Client(self.port) as client:
                while not self.stopping.is_set():
                    answer = client.get(self.path, host=self.host)
                    body = answer.text
                    if answer.status != 200 or (self.expect and body not in self.expect):
                        self.problems.append(f"{answer.status} {body[:100]!r}")
                        return
                    if answer.header("connection"):
                        self.problems.append(f"connection: {answer.header('connection')}")
                        return
                    self.bodies.append(body)
        except (OSError, AssertionError) as error:
            self.problems.append(f"{type(error).__name__}: {error}")
