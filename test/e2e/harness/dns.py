"""A DNS server on loopback that says what a scenario tells it to, truth or lies."""
import socket
import struct
import threading

A, AAAA = 1, 28
NO_ERROR, SERVFAIL, NXDOMAIN = 0, 2, 3


def cares(server, **fields):
    """typed_dns_resolver_config that asks this server alone."""
    config = {"@type": "type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3."
                       "CaresDnsResolverConfig",
              "resolvers": [{"socket_address": {"address": server.address,
                                                "port_value": server.port}}],
              "dns_resolver_options": {"no_default_search_domain": True}, **fields}
    return {"name": "envoy.network.dns_resolver.cares", "typed_config": config}


def question(message):
    """(name, type, the question's bytes) of a query."""
    labels, at = [], 12
    while message[at]:
        labels.append(message[at + 1:at + 1 + message[at]].decode())
        at += message[at] + 1
    kind, = struct.unpack("!H", message[at + 1:at + 3])
    return ".".join(labels).lower(), kind, message[12:at + 5]


def record(address, ttl):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    packed = socket.inet_pton(family, address)
    return struct.pack("!HHHIH", 0xC00C, AAAA if family == socket.AF_INET6 else A, 1, ttl,
                       len(packed)) + packed


def two_sockets(address):
    """A UDP and a TCP socket on one port, of the kernel's choice."""
    for _ in range(20):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        tcp = socket.create_server((address, 0))
        try:
            udp.bind((address, tcp.getsockname()[1]))
            return udp, tcp
        except OSError:
            udp.close()
            tcp.close()
    raise OSError("no port is free for UDP and TCP")


class DnsServer:
    """names[name] is what a name means: a list of addresses, NXDOMAIN or SERVFAIL, None (nothing is
    answered) or a function of (query, kind) that gives the answer's bytes."""

    def __init__(self, **names):
        self.address = "127.0.0.1"
        self.names = {f"{name}.test": value for name, value in names.items()}
        self.ttl = 300
        self.asked = []     # (name, type) in order
        self.tcp_asked = 0
        self._udp, self._tcp = two_sockets(self.address)
        self.port = self._tcp.getsockname()[1]
        self._threads = [threading.Thread(target=run, daemon=True)
                         for run in (self._serve_udp, self._serve_tcp)]
        for thread in self._threads:
            thread.start()

    def close(self):
        for sock in (self._udp, self._tcp):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()

    def count(self, name, kind=A):
        return self.asked.count((f"{name}.test", kind))

    def __setitem__(self, name, value):
        self.names[f"{name}.test"] = value

    def _serve_udp(self):
        while True:
            try:
                query, peer = self._udp.recvfrom(4096)
            except OSError:
                return
            if not query:   # shut down
                return
            answer = self._answer(query)
            if answer and self._udp.fileno() >= 0:
                self._udp.sendto(answer, peer)

    def _serve_tcp(self):
        while True:
            try:
                sock, _ = self._tcp.accept()
            except OSError:
                return
            sock.settimeout(10)
            with sock, sock.makefile("rb") as stream:
                head = stream.read(2)
                size = struct.unpack("!H", head)[0] if len(head) == 2 else 0
                query = stream.read(size)
                if size and len(query) == size:
                    self.tcp_asked += 1
                    answer = self._answer(query)
                    if answer:
                        sock.sendall(struct.pack("!H", len(answer)) + answer)

    def _answer(self, query):
        name, kind, asked = question(query)
        self.asked.append((name, kind))
        value = self.names.get(name, NXDOMAIN)
        if value is None:
            return None
        if callable(value):
            return value(query, kind)
        if isinstance(value, int):
            return message(query, code=value)
        family = ":" if kind == AAAA else "."
        return message(query, *[record(a, self.ttl) for a in value if family in a])


def message(query, *records, code=NO_ERROR, count=None, flags=0x8180, identifier=None):
    """An answer to a query. count and identifier may lie."""
    _, _, asked = question(query)
    sent = query[:2] if identifier is None else struct.pack("!H", identifier)
    count = len(records) if count is None else count
    return (sent + struct.pack("!HHHHH", flags | code, 1, count, 0, 0) + asked
            + b"".join(records))
