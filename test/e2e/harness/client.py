"""A raw-socket HTTP/1.1 client with a strict reading of responses."""
import re
import socket

STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9]) ?([\x20-\x7e]*)\Z")
FIELD_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
LIMIT = 64 << 20


class Response:
    """One response: status, headers as (lower-case name, value), body, trailers, exact bytes."""

    def __init__(self, version, status, reason, headers, raw_head):
        self.version = version
        self.status = status
        self.reason = reason
        self.headers = headers
        self.raw_head = raw_head
        self.body = b""
        self.trailers = []
        self.interim = []
        self.chunked = False

    def all(self, name):
        """Every value of one header, in order."""
        return [value for key, value in self.headers if key == name]

    def header(self, name):
        """The value of a header that may stand at most once, or None."""
        values = self.all(name)
        assert len(values) < 2, f"{name} stands {len(values)} times: {values}"
        return values[0] if values else None

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:200]!r}>"


def parse_fields(lines):
    """Header lines (no CRLF) as (lower-case name, value); a malformed line is an error."""
    fields = []
    for line in lines:
        name, colon, value = line.partition(b":")
        assert colon and FIELD_NAME.match(name), f"malformed header line {line!r}"
        value = value.strip(b" \t")
        assert not re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", value), f"control byte in {line!r}"
        fields.append((name.decode().lower(), value.decode("latin-1")))
    return fields


def connect(target, bound):
    """target: a port on 127.0.0.1, an (address, port) pair, or the path of a Unix socket."""
    if isinstance(target, str):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(bound)
        sock.connect(target)
        return sock
    address = target if isinstance(target, tuple) else ("127.0.0.1", target)
    sock = socket.create_connection(address, timeout=bound)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def free_port():
    """One that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Client:
    """One connection. bound is the longest any single read may wait, in seconds. tls: an
    ssl.SSLContext, with the name to ask for and a session to resume."""

    def __init__(self, target, bound=10.0, tls=None, name=None, session=None):
        self.sock = connect(target, bound)
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname=name, session=session)
        self.buffer = b""
        self.received = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def half_close(self):
        """Send FIN, keep reading."""
        self.sock.shutdown(socket.SHUT_WR)

    def send(self, data):
        self.sock.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def write_request(self, method="GET", path="/", host="a.test", headers=(), body=None,
                      version="1.1"):
        """Write one request; a body gets its Content-Length unless headers frame it."""
        pairs = list(headers.items() if isinstance(headers, dict) else headers)
        names = {name.lower() for name, _ in pairs}
        lines = [f"{method} {path} HTTP/{version}"]
        if host is not None and "host" not in names:
            lines.append(f"Host: {host}")
        lines += [f"{name}: {value}" for name, value in pairs]
        if body is not None and not names & {"content-length", "transfer-encoding"}:
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b""))

    def request(self, method="GET", path="/", **kw):
        """Write one request and read its response."""
        self.write_request(method, path, **kw)
        return self.response(to=method)

    def get(self, path="/", **kw):
        return self.request("GET", path, **kw)

    def response(self, to="GET"):
        """Read the next final response; 1xx before it are kept in .interim."""
        interim = []
        while True:
            answer = self._head()
            if answer.status >= 200 or answer.status == 101:
                break
            interim.append(answer)
        answer.interim = interim
        self._body(answer, to)
        return answer

    def interim(self):
        """Read one 1xx response."""
        answer = self._head()
        assert 100 <= answer.status < 200, f"expected 1xx, got {answer}"
        return answer

    def rest(self):
        """All bytes until the peer closes; a reset counts as a close."""
        while self._fill():
            pass
        data, self.buffer = self.buffer, b""
        return data

    def closed(self):
        """True when the peer closes without sending another byte."""
        return self.rest() == b""

    def pending(self):
        """Bytes that have arrived and belong to no response yet (does not wait)."""
        self.sock.setblocking(False)
        try:
            self.buffer += self.sock.recv(65536)
        except BlockingIOError:
            pass
        finally:
            self.sock.settimeout(10.0)
        return self.buffer

    def _fill(self):
        try:
            data = self.sock.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            return False
        except TimeoutError:
            raise AssertionError(f"nothing came; so far: {bytes(self.received)[-400:]!r}") from None
        self.buffer += data
        self.received += data
        assert len(self.buffer) < LIMIT, "response too large"
        return bool(data)

    def _line(self):
        while b"\r\n" not in self.buffer:
            assert b"\n" not in self.buffer, f"bare LF in {self.buffer[:200]!r}"
            assert self._fill(), f"closed inside a line: {self.buffer!r}"
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        assert b"\r" not in line and b"\n" not in line, f"lone CR or LF in {line!r}"
        return line

    def _head(self):
        while b"\r\n\r\n" not in self.buffer:
            assert self._fill(), f"closed before a full head: {self.buffer[:400]!r}"
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = head.split(b"\r\n")
        match = STATUS_LINE.match(lines[0])
        assert match, f"bad status line {lines[0]!r}"
        version, status, reason = match.groups()
        return Response(f"1.{version.decode()}", int(status), reason.decode(),
                        parse_fields(lines[1:]), head + b"\r\n\r\n")

    def _exactly(self, count):
        while len(self.buffer) < count:
            assert self._fill(), f"closed with {count - len(self.buffer)} body bytes missing"
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def _body(self, answer, to):
        lengths = answer.all("content-length")
        codings = answer.all("transfer-encoding")
        assert len(lengths) < 2 and len(codings) < 2, f"ambiguous framing: {answer.headers}"
        assert not (lengths and codings), f"length and coding: {answer.headers}"
        if to == "HEAD" or answer.status in (101, 204, 304):
            return
        if codings:
            assert codings == ["chunked"], codings
            answer.chunked = True
            self._chunks(answer)
        elif lengths:
            assert lengths[0].isdigit(), lengths
            answer.body = self._exactly(int(lengths[0]))
        else:
            answer.body = self.rest()

    def _chunks(self, answer):
        while True:
            size = int(self._line(), 16)
            if size == 0:
                break
            answer.body += self._exactly(size)
            assert self._line() == b"", "chunk without its CRLF"
        lines = []
        while line := self._line():
            lines.append(line)
        answer.trailers = parse_fields(lines)


def refused(port, context, name="a.test"):
    """What a TLS client is told that is not let in, None if it is: in TLS 1.3 it learns that when it
    reads."""
    try:
        with Client(port, tls=context, name=name) as client:
            client.get("/")
    except (OSError, AssertionError) as error:
        return str(error) or "closed"
    return None
