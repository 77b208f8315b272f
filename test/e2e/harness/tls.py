"""TLS around what the harness has: a client, an origin, and a front for the stub control plane."""
import socket
import threading

from cryptography import x509

from .certs import serial_text
from .client import Client


class TlsClient(Client):
    """A Client that shakes hands first. context: an ssl.SSLContext (certs.client_context)."""

    def __init__(self, target, context, name="a.test", bound=10.0):
        super().__init__(target, bound)
        try:
            self.sock = context.wrap_socket(self.sock, server_hostname=name)
        except OSError:
            self.sock.close()
            raise

    @property
    def peer_serial(self):
        """The serial number of the certificate that was presented, as Certificate.serial."""
        return serial_of(self.sock)


def serial_of(sock):
    der = sock.getpeercert(binary_form=True)
    return serial_text(x509.load_der_x509_certificate(der)) if der else None


class TlsServer:
    """Accepts on a port of the kernel's choice, or on a path, and shakes hands; `serve` has the
    connection then.

    context may be replaced: the next connection uses the new one; None: no TLS. serials: of the
    certificates that clients presented, in order (None: none). failures: handshakes that went
    wrong."""

    kind = "tls server"

    def __init__(self, context, serve, path=None):
        self.context, self.serve = context, serve
        self.serials, self.failures = [], []
        self.address, self.path = "127.0.0.1", path
        if path:
            self.listener = socket.create_server(str(path), family=socket.AF_UNIX)
        else:
            self.listener = socket.create_server(("127.0.0.1", 0))
            self.port = self.listener.getsockname()[1]
        self.closing = False
        self.open = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while not self.closing:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._run, args=(sock,), daemon=True).start()

    def _run(self, sock):
        sock.settimeout(30)
        try:
            if self.context:
                sock = self.context.wrap_socket(sock, server_side=True)
        except OSError as error:
            self.failures.append(str(error))
            sock.close()
            return
        self.serials.append(serial_of(sock) if self.context else None)
        self.open.add(sock)
        try:
            self.serve(sock)
        except OSError:
            pass
        self.open.discard(sock)
        sock.close()

    def close(self):
        self.closing = True
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()

    def cut(self):
        """End the connections that are open."""
        for sock in list(self.open):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def log(self):
        return "\n".join(self.failures)


def tls_origin(context, body="origin"):
    """An origin that answers each request with the serial number of its client's certificate,
    or with `body` where there is none."""

    def serve(sock):
        text = (serial_of(sock) or body).encode()
        head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(text)
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                more = sock.recv(65536)
                if not more:
                    return
                data += more
            data = data.partition(b"\r\n\r\n")[2]
            sock.sendall(head + text)

    return TlsServer(context, serve)


def tls_front(context, port, path=None):
    """TLS (or, with context None, nothing) in front of a port on loopback: bytes go both ways."""

    def pump(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        for sock in (source, sink):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def serve(sock):
        with socket.create_connection(("127.0.0.1", port)) as inner:
            back = threading.Thread(target=pump, args=(inner, sock), daemon=True)
            back.start()
            pump(sock, inner)
            back.join()

    return TlsServer(context, serve, path)
