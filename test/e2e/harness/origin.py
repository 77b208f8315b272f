"""HTTP/1.1 origins on raw sockets: they keep the exact bytes they got and answer by script.

All origins of a process live on one asyncio loop in a thread of its own. Scenarios
write an origin's script before the request and read its records after it.
"""
import asyncio
import contextlib
import os
import socket
import threading
from dataclasses import dataclass, field

from .waiting import wait_for


class Gone(Exception):
    """The peer closed or reset the connection."""


class LoopThread:
    """The asyncio loop of all origins."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True, name="origins").start()

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)


_loop_thread = None


def loop_thread():
    global _loop_thread
    if _loop_thread is None:
        _loop_thread = LoopThread()
    return _loop_thread


class Hold:
    """A point where an answer stops until the scenario calls release()."""

    def __init__(self):
        self._event = asyncio.Event()
        self.reached = 0

    def release(self):
        loop_thread().loop.call_soon_threadsafe(self._event.set)

    async def wait(self):
        self.reached += 1
        await self._event.wait()


@dataclass
class Reply:
    """How an origin answers. body None means the origin's name."""
    status: int = 200
    reason: str = "OK"
    headers: list = field(default_factory=list)
    body: bytes = None
    chunks: list = None         # answer in chunks of exactly these bytes
    trailers: list = field(default_factory=list)
    interim: bytes = b""        # raw 1xx responses, sent first
    raw: bytes = None           # send exactly these bytes instead of all of the above
    hold: Hold = None           # wait here before the answer
    hold_body: Hold = None      # wait here after the head and the first chunk
    early: bool = False         # answer as soon as the head is read
    early_continue: bool = False  # send 100 before the body is read
    framed: bool = True         # False: no length, the body ends with the connection
    cut: int = None             # close after this many bytes of the answer
    close: bool = False         # close after the answer
    never: bool = False         # read everything, answer nothing


@dataclass
class Request:
    """One request as the origin read it; headers keep case and order."""
    method: str
    target: str
    version: str
    headers: list
    head: bytes
    connection: object
    body: bytes = b""
    trailers: list = field(default_factory=list)
    chunks: list = None
    complete: bool = False

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name]

    def header(self, name):
        values = self.all(name)
        assert len(values) < 2, f"{name} stands {len(values)} times: {values}"
        return values[0] if values else None


class Wire:
    """One accepted connection: buffered reads, exact record of what came."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.buffer = b""
        self.received = bytearray()
        self.closed = False
        self.requests = 0

    async def fill(self):
        try:
            data = await self.reader.read(65536)
        except OSError:
            data = b""
        if not data:
            raise Gone
        self.buffer += data
        self.received += data

    async def until(self, mark):
        while mark not in self.buffer:
            await self.fill()
        data, self.buffer = self.buffer.split(mark, 1)
        return data

    async def exactly(self, count):
        got = bytearray(self.buffer)    # a large body is not to be copied at each read
        while len(got) < count:
            self.buffer = b""
            await self.fill()
            got += self.buffer
        self.buffer = bytes(got[count:])
        return bytes(got[:count])

    async def write(self, data):
        try:
            self.writer.write(data)
            await self.writer.drain()
        except OSError:
            raise Gone from None


def _pairs(lines):
    pairs = []
    for line in lines:
        name, _, value = line.partition(b":")
        pairs.append((name.decode("latin-1"), value.strip(b" \t").decode("latin-1")))
    return pairs


class Origin:
    """A scripted origin. on[path] is that path's Reply; reply is everyone else's."""

    def __init__(self, name="origin", path=None, address="127.0.0.1", handler=None, port=None,
                 ssl=None):
        self.name = name
        self.path = path
        self.address = address
        self.handler = handler      # async def handler(wire): full control of each connection
        self.reply = Reply()
        self.on = {}
        self.queue = []             # replies used once, in order, before any other
        self.requests = []
        self.connections = []
        self.port = port            # None: the kernel chooses
        self.ssl = ssl              # an ssl.SSLContext: TLS
        self._tasks = set()
        loop_thread().run(self._start())

    async def _start(self):
        if self.path:
            self._server = await asyncio.start_unix_server(self._serve, self.path)
            return
        self._server = await asyncio.start_server(self._serve, self.address, self.port or 0,
                                                  ssl=self.ssl, backlog=4096)
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self):
        loop_thread().run(self._stop())

    def reopen(self):
        """Listen again on the same port."""
        loop_thread().run(self._start())

    async def _stop(self):
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        for wire in self.connections:
            wire.writer.close()
        if self.path and os.path.exists(self.path):
            os.unlink(self.path)

    def close_connections(self):
        """Close every open connection, keep listening."""
        for wire in list(self.connections):
            loop_thread().loop.call_soon_threadsafe(wire.writer.close)

    def hold(self):
        async def make():
            return Hold()
        return loop_thread().run(make())

    def wait_requests(self, count, bound=10.0):
        wait_for(lambda: len(self.requests) >= count, bound,
                 f"{count} requests at origin {self.name}")
        return self.requests[count - 1]

    def wait_complete(self, count=1, bound=10.0):
        """Wait until that many requests have been read to their end; the last of them."""
        wait_for(lambda: sum(r.complete for r in self.requests) >= count, bound,
                 f"{count} complete requests at origin {self.name}")
        return self.requests[count - 1]

    @property
    def last(self):
        return self.requests[-1]

    @property
    def open_connections(self):
        return [wire for wire in self.connections if not wire.closed]

    @property
    def received(self):
        """Every byte that any connection brought."""
        return b"".join(bytes(wire.received) for wire in self.connections)

    async def _serve(self, reader, writer):
        wire = Wire(reader, writer)
        self.connections.append(wire)
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            if self.handler:
                await self.handler(wire)
            else:
                while await self._exchange(wire):
                    pass
        except (Gone, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            wire.closed = True
            with contextlib.suppress(Exception):
                writer.close()

    async def _exchange(self, wire):
        head = await wire.until(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        method, target, version = lines[0].decode("latin-1").split(" ", 2)
        request = Request(method, target, version, _pairs(lines[1:]), head + b"\r\n\r\n", wire)
        wire.requests += 1
        self.requests.append(request)
        reply = (self.queue.pop(0) if self.queue
                 else self.on.get(target.partition("?")[0], self.reply))
        if reply.early_continue:
            await wire.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if reply.early:
            await self._answer(wire, request, reply)
        await self._read_body(wire, request)
        request.complete = True
        if reply.never:
            while True:
                await wire.fill()
        if not reply.early:
            await self._answer(wire, request, reply)
        return not reply.close and reply.cut is None and reply.framed

    async def _read_body(self, wire, request):
        coding = request.header("transfer-encoding")
        length = request.header("content-length")
        request.body = bytearray()      # read by others meanwhile; a large one grows at no cost
        if coding:
            request.chunks = []
            while size := int((await wire.until(b"\r\n")).split(b";")[0], 16):
                chunk = await wire.exactly(size)
                request.chunks.append(chunk)
                request.body += chunk
                assert await wire.exactly(2) == b"\r\n"
            lines = []
            while line := await wire.until(b"\r\n"):
                lines.append(line)
            request.trailers = _pairs(lines)
        elif length:
            left = int(length)
            while left:
                if not wire.buffer:
                    await wire.fill()
                part = await wire.exactly(min(left, len(wire.buffer)))
                request.body += part
                left -= len(part)
        request.body = bytes(request.body)

    async def _answer(self, wire, request, reply):
        if reply.hold:
            await reply.hold.wait()
        if reply.interim:
            await wire.write(reply.interim)
        if reply.raw is not None:
            await self._cut_write(wire, reply, reply.raw)
            return
        body = self.name.encode() if reply.body is None else reply.body
        headers = list(reply.headers)
        bodiless = request.method == "HEAD" or reply.status in (204, 304)
        if reply.chunks is not None:
            headers.append(("transfer-encoding", "chunked"))
        elif reply.framed and reply.status not in (204, 304):
            headers.append(("content-length", str(len(body))))
        head = f"HTTP/1.1 {reply.status} {reply.reason}\r\n" + "".join(
            f"{name}: {value}\r\n" for name, value in headers) + "\r\n"
        data = head.encode("latin-1")
        if bodiless:
            await self._cut_write(wire, reply, data)
        elif reply.chunks is None:
            if reply.hold_body:
                await wire.write(data + body[:1])
                await reply.hold_body.wait()
                data, body = b"", body[1:]
            await self._cut_write(wire, reply, data + body)
        else:
            await self._chunked(wire, reply, data)

    async def _chunked(self, wire, reply, data):
        for index, chunk in enumerate(reply.chunks):
            data += b"%x\r\n%b\r\n" % (len(chunk), chunk)
            if index == 0 and reply.hold_body:
                await wire.write(data)
                data = b""
                await reply.hold_body.wait()
        data += b"0\r\n" + "".join(f"{n}: {v}\r\n" for n, v in reply.trailers).encode() + b"\r\n"
        await self._cut_write(wire, reply, data)

    async def _cut_write(self, wire, reply, data):
        await wire.write(data if reply.cut is None else data[:reply.cut])


def refused_port():
    """(port, socket): a port nobody listens on, kept from others while the socket lives."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock.getsockname()[1], sock


class SilentPort:
    """A port whose full backlog makes every further connection attempt hang."""

    def __init__(self, address="127.0.0.1", port=0):
        self.sock = socket.socket()
        self.sock.bind((address, port))
        self.sock.listen(0)
        self.port = self.sock.getsockname()[1]
        self.fill = []
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                one.connect((address, self.port))
            self.fill.append(one)

    def close(self):
        for sock in [self.sock, *self.fill]:
            sock.close()
