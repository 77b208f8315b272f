"""Peers of tunnels: an origin on raw sockets that is told each word, and WebSocket's frames."""
import base64
import hashlib
import os
import socket
import struct

from .client import Client

BOUND = 10.0
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class RawOrigin:
    """accept() gives the next connection as a Client: what it says is not answered by itself."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(BOUND)
        self.address, self.port = self.listener.getsockname()
        self.path = None
        self.taken = []

    def accept(self):
        sock = self.listener.accept()[0]
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer = Peer(sock)
        self.taken.append(peer)
        return peer

    def untouched(self):
        """Has nobody connected?"""
        self.listener.setblocking(False)
        try:
            self.listener.accept()
            return False
        except BlockingIOError:
            return True
        finally:
            self.listener.settimeout(BOUND)

    def close(self):
        self.listener.close()
        for peer in self.taken:
            peer.close()


class Peer(Client):
    """One end of a tunnel, before and after it is open."""

    def __init__(self, sock):
        sock.settimeout(BOUND)
        self.sock, self.buffer, self.received = sock, b"", bytearray()

    def head(self):
        """The head of a request: its first line, and its fields by name."""
        while b"\r\n\r\n" not in self.buffer:
            assert self._fill(), f"closed inside a head: {self.buffer!r}"
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        first, *lines = head.decode("latin-1").split("\r\n")
        return first, dict(line.split(": ", 1) for line in lines)

    def switch(self, protocol="websocket", more="", data=b""):
        self.send(f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                  f"Upgrade: {protocol}\r\n{more}\r\n".encode() + data)

    def expect(self, data):
        assert self._exactly(len(data)) == data

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


def accept_key(key):
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


class WebSocket:
    """RFC 6455 over a Client or a Peer whose handshake is done; a client's frames are masked."""

    def __init__(self, peer, client):
        self.peer, self.client = peer, client

    def send(self, opcode, payload=b""):
        mask_bit = 0x80 if self.client else 0
        head = bytes([0x80 | opcode])
        if len(payload) < 126:
            head += bytes([mask_bit | len(payload)])
        else:
            head += bytes([mask_bit | 127]) + struct.pack(">Q", len(payload))
        if self.client:
            mask = os.urandom(4)
            key = (mask * (len(payload) // 4 + 1))[:len(payload)]
            payload = (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(
                len(payload), "big")
            head += mask
        self.peer.send(head + payload)

    def read(self):
        """(opcode, payload) of the next frame."""
        first, second = self.peer._exactly(2)
        assert first & 0x80, "a fragment"
        size = second & 0x7f
        if size == 126:
            size, = struct.unpack(">H", self.peer._exactly(2))
        elif size == 127:
            size, = struct.unpack(">Q", self.peer._exactly(8))
        assert bool(second & 0x80) != self.client, "masked by the wrong side"
        mask = self.peer._exactly(4) if second & 0x80 else bytes(4)
        payload = self.peer._exactly(size)
        key = (mask * (size // 4 + 1))[:size]
        return first & 0x0f, (int.from_bytes(payload, "big")
                              ^ int.from_bytes(key, "big")).to_bytes(size, "big")
