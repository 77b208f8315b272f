"""HTTP/2 clients and origins on the package h2, with what they see written down."""
import asyncio
import contextlib
import socket
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
from h2.connection import ConnectionInputs, ConnectionState, H2ConnectionStateMachine

from .client import connect
from .origin import loop_thread
from .waiting import wait_for

# The package takes the first GOAWAY for the end; one that refuses nothing is not.
for _state in (ConnectionState.CLIENT_OPEN, ConnectionState.SERVER_OPEN):
    H2ConnectionStateMachine._transitions[(_state, ConnectionInputs.RECV_GOAWAY)] = (None, _state)

LAX = {"validate_outbound_headers": False, "normalize_outbound_headers": False,
       "validate_inbound_headers": False, "header_encoding": "latin-1"}


@dataclass
class Stream:
    """What came on one stream."""
    headers: list = None
    interim: list = field(default_factory=list)
    body: bytes = b""
    trailers: list = None
    ended: bool = False
    reset: int = None

    def header(self, name):
        values = [v for k, v in self.headers or [] if k == name]
        assert len(values) < 2, f"{name} stands {len(values)} times: {values}"
        return values[0] if values else None

    @property
    def status(self):
        return int(self.header(":status")) if self.headers else None

    @property
    def over(self):
        return self.ended or self.reset is not None

    def take(self, event):
        """True: the event was of this stream's message."""
        if isinstance(event, h2.events.InformationalResponseReceived):
            self.interim.append(event.headers)
        elif isinstance(event, (h2.events.ResponseReceived, h2.events.RequestReceived)):
            self.headers = event.headers
        elif isinstance(event, h2.events.DataReceived):
            self.body += event.data
        elif isinstance(event, h2.events.TrailersReceived):
            self.trailers = event.headers
        elif isinstance(event, h2.events.StreamEnded):
            self.ended = True
        elif isinstance(event, h2.events.StreamReset):
            self.reset = event.error_code
        else:
            return False
        return True


class H2Client:
    """One connection; reads only when asked to wait for something."""

    def __init__(self, port, bound=10.0, window=1 << 20, settings=None, tls=None):
        self.sock = connect(port, bound)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname="a.test")
        self.conn = h2.connection.H2Connection(h2.config.H2Configuration(True, **LAX))
        self.window = window
        self.streams = {}
        self.goaways = []
        self.pings = 0              # of ours, answered
        self.pinged = 0
        self.closed = False
        self.reading = True         # False: no windows are given back
        self.conn.initiate_connection()
        if settings:
            self.conn.update_settings(settings)
        if window > 65535:
            self.conn.increment_flow_control_window(window - 65535)
        self.flush()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.sock.close()

    def flush(self):
        with contextlib.suppress(OSError):
            self.sock.sendall(self.conn.data_to_send())

    def raw(self, data):
        with contextlib.suppress(OSError):
            self.sock.sendall(data)

    def open(self, method="GET", path="/", headers=(), end=True, authority="a.test"):
        stream_id = self.conn.get_next_available_stream_id()
        pseudo = [(":method", method), (":scheme", "http"), (":authority", authority),
                  (":path", path)]
        self.conn.send_headers(stream_id, pseudo + list(headers), end_stream=end)
        self.streams[stream_id] = Stream()
        self.flush()
        return stream_id

    def data(self, stream_id, data=b"", end=False):
        """Sends all of it, waiting for windows."""
        view = memoryview(data)
        while len(view) or end:
            room = self.conn.local_flow_control_window(stream_id) if len(view) else 1
            if room <= 0:
                self.read()
                continue
            part = view[:min(room, 16384)]
            view = view[len(part):]
            self.conn.send_data(stream_id, bytes(part), end_stream=end and not len(view))
            self.flush()
            if not len(view):
                return

    def trailers(self, stream_id, trailers):
        self.conn.send_headers(stream_id, trailers, end_stream=True)
        self.flush()

    def reset(self, stream_id, code=8):
        self.conn.reset_stream(stream_id, code)
        self.flush()

    def read(self):
        """One read; False at the end of the connection."""
        try:
            data = self.sock.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            self.closed = True
            return False
        try:
            events = self.conn.receive_data(data)
        except h2.exceptions.ProtocolError:
            self.closed = True
            return False
        for event in events:
            self.see(event)
        self.flush()
        return True

    def see(self, event):
        stream = self.streams.get(getattr(event, "stream_id", None))
        if stream is not None and stream.take(event):
            if isinstance(event, h2.events.DataReceived) and self.reading:
                with contextlib.suppress(h2.exceptions.ProtocolError):
                    self.conn.acknowledge_received_data(event.flow_controlled_length,
                                                        event.stream_id)
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.goaways.append((event.error_code, event.last_stream_id))
        elif isinstance(event, h2.events.PingAckReceived):
            self.pings += 1
        elif isinstance(event, h2.events.PingReceived):
            self.pinged += 1

    def wait(self, done):
        while not done():
            assert self.read(), f"the connection ended: {self.goaways}, {self.streams}"

    def wait_closed(self):
        while self.read():
            pass

    def answer(self, stream_id):
        stream = self.streams[stream_id]
        self.wait(lambda: stream.over)
        return stream

    def request(self, method="GET", path="/", headers=(), body=None, trailers=None, **kw):
        stream_id = self.open(method, path, headers, end=body is None and trailers is None, **kw)
        if body is not None:
            self.data(stream_id, body, end=trailers is None)
        if trailers is not None:
            self.trailers(stream_id, trailers)
        return self.answer(stream_id)


@dataclass
class H2Reply:
    status: int = 200
    headers: list = field(default_factory=list)
    body: bytes = b"origin"
    trailers: list = None
    interim: list = None
    interims: int = 1       # so often
    early: bool = False     # before the end of the request
    never: bool = False
    reset: int = None       # instead of an answer; after the head if `partial`
    partial: bool = False
    open: bool = False      # the body does not end
    goaway: bool = False    # with the answer


class H2Wire:
    def __init__(self, origin, reader, writer, settings):
        self.origin, self.reader, self.writer = origin, reader, writer
        self.conn = h2.connection.H2Connection(h2.config.H2Configuration(False, **LAX))
        self.conn.local_settings = h2.settings.Settings(client=False, initial_values=settings)
        self.streams = {}
        self.room = asyncio.Event()
        self.pings = 0
        self.goaways = []       # the codes

    def flush(self):
        self.writer.write(self.conn.data_to_send())

    async def run(self):
        self.conn.initiate_connection()
        self.flush()
        while data := await self.reader.read(65536):
            for event in self.conn.receive_data(data):
                self.see(event)
            self.flush()
            self.room.set()

    def see(self, event):
        stream_id = getattr(event, "stream_id", None)
        if isinstance(event, h2.events.PingReceived):
            self.pings += 1
        if isinstance(event, h2.events.ConnectionTerminated):
            self.goaways.append(event.error_code)
        if isinstance(event, h2.events.RequestReceived):
            stream = self.streams[stream_id] = Stream()
            stream.wire, stream.stream_id = self, stream_id
            stream.reply = self.origin.queue.pop(0) if self.origin.queue else None
            self.origin.requests.append(stream)
        stream = self.streams.get(stream_id)
        if stream is None or not stream.take(event):
            return
        if isinstance(event, h2.events.DataReceived) and self.origin.reading:
            self.conn.acknowledge_received_data(event.flow_controlled_length, stream_id)
        reply = stream.reply or self.origin.reply
        now = isinstance(event, h2.events.RequestReceived) if reply.early else \
            isinstance(event, h2.events.StreamEnded)
        if now and not reply.never:
            self.origin.spawn(self.answer(stream_id, stream, reply))

    async def answer(self, stream_id, stream, reply):
        with contextlib.suppress(h2.exceptions.ProtocolError, OSError):
            await self.send(stream_id, stream, reply)

    async def send(self, stream_id, stream, reply):
        if reply.reset is not None and not reply.partial:
            self.conn.reset_stream(stream_id, reply.reset)
            self.flush()
            return
        for _ in range(reply.interims if reply.interim else 0):
            self.conn.send_headers(stream_id, reply.interim)
            self.flush()
            await self.writer.drain()
        bare = not reply.body and reply.trailers is None
        self.conn.send_headers(stream_id, [(":status", str(reply.status))] + reply.headers,
                               end_stream=bare)
        view = memoryview(reply.body)
        if stream.header(":method") == "HEAD":
            view = view[:0]
            if not bare and reply.trailers is None:
                self.conn.end_stream(stream_id)
        while len(view):
            room = self.conn.local_flow_control_window(stream_id)
            if room <= 0:
                self.room.clear()
                self.flush()
                await self.room.wait()
                continue
            part = view[:min(room, 16384)]
            view = view[len(part):]
            last = (not len(view) and reply.trailers is None and reply.reset is None
                    and not reply.open)
            self.conn.send_data(stream_id, bytes(part), end_stream=last)
        if reply.reset is not None:
            self.conn.reset_stream(stream_id, reply.reset)
        elif reply.trailers is not None:
            self.conn.send_headers(stream_id, reply.trailers, end_stream=True)
        if reply.goaway:
            self.conn.close_connection(last_stream_id=stream_id)
        self.flush()
        await self.writer.drain()


class H2Origin:
    """A scripted origin that speaks HTTP/2 alone."""

    def __init__(self, settings=None, tls=None):
        self.tls = tls
        self.address, self.path = "127.0.0.1", None
        self.reply = H2Reply()
        self.queue = []     # of the next requests
        self.settings = settings or {}
        self.requests = []
        self.wires = []
        self.reading = True
        self._tasks = set()
        loop_thread().run(self._start())

    async def _start(self):
        self._server = await asyncio.start_server(self._serve, self.address, 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]

    def spawn(self, coroutine):
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader, writer):
        wire = H2Wire(self, reader, writer, self.settings)
        self.wires.append(wire)
        with contextlib.suppress(OSError, h2.exceptions.ProtocolError):
            await wire.run()
        writer.close()

    async def _stop(self):
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        for wire in self.wires:
            wire.writer.close()

    def close(self):
        loop_thread().run(self._stop())

    def call(self, action):
        """Runs action() on the origins' loop: it may send."""
        async def run():
            return action()
        return loop_thread().run(run())

    def wait_requests(self, count, bound=10.0):
        wait_for(lambda: len(self.requests) >= count, bound, f"{count} requests at the h2 origin")

    @property
    def last(self):
        return self.requests[-1]
