#!/usr/bin/env python3
"""Rude peers of one sort: rude.py SORT PORT. Lines on standard input: "on", "off" (each is answered
with a line); its end ends the program. What they send is bounded, so that the CPU that they share
with the load is not what is measured.

  idle         10,000 connections that say nothing
  slow_heads   500 heads, a byte of each ten times a second
  slow_bodies  500 bodies, the same
  slow_readers 200 answers of 1 MiB, read a KiB at a time, ten times a second
  connections  1,000 connections a second that are closed at once
  requests     20 connections, a hundred requests on each at once, five times a second
"""
import resource
import select
import socket
import sys
import time

COUNTS = {"idle": 10000, "slow_heads": 500, "slow_bodies": 500, "slow_readers": 200,
          "connections": 0, "requests": 20}
TICK = 0.1
HEAD = b"GET /x HTTP/1.1\r\nhost: a\r\nx-long: " + b"y" * 2000
BODY = b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n"
REQUEST = b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n"


class Rude:
    """The peers of one sort."""

    def __init__(self, sort, port):
        self.sort, self.port, self.turn = sort, port, 0
        self.peers = []
        self.fill()

    def connect(self):
        made = socket.socket()
        if self.sort == "slow_readers":
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        made.connect(("127.0.0.1", self.port))
        made.setblocking(False)
        return made

    def begin(self, peer):
        if self.sort == "slow_bodies":
            peer.send(BODY)
        if self.sort == "slow_readers":
            peer.send(b"GET /size=1048576 HTTP/1.1\r\nhost: a\r\n\r\n")

    def fill(self):
        while len(self.peers) < COUNTS[self.sort]:
            self.peers.append(self.connect())
            self.begin(self.peers[-1])

    def act(self, peer):
        """One turn of a peer; False: it is gone."""
        if self.sort == "slow_heads":
            return peer.send(HEAD[self.turn % len(HEAD):][:1]) == 1
        if self.sort == "slow_bodies":
            return peer.send(b"z") == 1
        if self.sort == "slow_readers":
            return len(peer.recv(1024)) > 0
        if self.sort == "requests":
            drained = b"x"
            while self.turn and len(drained) > 0:
                try:
                    drained = peer.recv(1 << 20)
                except BlockingIOError:
                    break
            return self.turn % 2 == 1 or peer.send(REQUEST * 100) > 0
        return True

    def tick(self):
        if self.sort == "connections":
            for _ in range(int(1000 * TICK)):
                self.connect().close()
        left = []
        for peer in self.peers if self.sort != "idle" else ():
            try:
                good = self.act(peer)
            except BlockingIOError:
                good = True
            except OSError:
                good = False
            if good:
                left.append(peer)
            else:
                peer.close()
        if self.sort != "idle":
            self.peers = left
            self.fill()
        self.turn += 1


def settle(rude):
    """The first of large answers fill the buffers of the kernel: that is no reader's slowness."""
    end = time.monotonic() + (1.5 if rude.sort == "slow_readers" else 0.2)
    while time.monotonic() < end:
        rude.tick()
        time.sleep(TICK)


def main(sort, port):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    rude, due = None, time.monotonic()
    while True:
        wait = None if rude is None else max(0.0, due - time.monotonic())
        if select.select([sys.stdin], [], [], wait)[0]:
            line = sys.stdin.readline()
            if not line:
                return
            if line.strip() == "on":
                rude, due = Rude(sort, port), time.monotonic()
                settle(rude)
            else:
                for peer in rude.peers:
                    peer.close()
                rude = None
            print("{}", flush=True)
        elif rude:
            rude.tick()
            due += TICK


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
