"""An access log service: gRPC's own server, which keeps what each stream said."""
import concurrent.futures
import threading

import grpc
from envoy.service.accesslog.v3 import als_pb2, als_pb2_grpc

from .waiting import wait_for


class AlsStream:
    def __init__(self, context):
        self.metadata = dict(context.invocation_metadata())
        self.messages = []
        self.ended = False


class AlsServer(als_pb2_grpc.AccessLogServiceServicer):
    """streams: in the order of opening. refuse: new streams end with UNAVAILABLE at once; end():
    those there are end with a status of success."""

    def __init__(self, port=0):
        self.streams = []
        self.refuse = False
        self.changed = threading.Condition()
        self.ending = threading.Event()
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(16),
                                  options=[("grpc.so_reuseport", 0)])
        als_pb2_grpc.add_AccessLogServiceServicer_to_server(self, self.server)
        self.port = self.server.add_insecure_port(f"127.0.0.1:{port}")
        self.server.start()

    def StreamAccessLogs(self, request_iterator, context):
        stream = AlsStream(context)
        self.streams.append(stream)
        if self.refuse:
            context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
        try:
            for message in request_iterator:
                stream.messages.append(message)
                if self.ending.is_set():
                    return als_pb2.StreamAccessLogsResponse()
        finally:
            stream.ended = True
        return als_pb2.StreamAccessLogsResponse()

    def messages(self):
        return [m for s in self.streams for m in s.messages]

    def http_entries(self):
        return [e for m in self.messages() for e in m.http_logs.log_entry]

    def tcp_entries(self):
        return [e for m in self.messages() for e in m.tcp_logs.log_entry]

    def wait_tcp(self, n=1, bound=10.0):
        """The same of connections."""
        wait_for(lambda: len(self.tcp_entries()) >= n, bound, f"{n} TCP entries over gRPC")
        return self.tcp_entries()

    def wait_http(self, n=1, bound=10.0):
        """The first n entries, once there are as many."""
        wait_for(lambda: len(self.http_entries()) >= n, bound, f"{n} entries over gRPC")
        return self.http_entries()

    def stop(self):
        self.server.stop(0).wait()
