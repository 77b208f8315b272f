"""A gRPC server whose messages are plain bytes."""
import concurrent.futures
import threading

import grpc

SERVICE = "test.Echo"


class Echo(grpc.GenericRpcHandler):
    """unary: the message back; down: a message for each byte; up: all of them joined; both: one by
    one; status: the code and text that the metadata asks for; wait: until it is cancelled."""

    def __init__(self):
        self.metadata = None
        self.cancelled = threading.Event()
        self.deadline = None

    def service(self, details):
        service, _, name = details.method.rpartition("/")
        if service != "/" + SERVICE:
            return None
        handlers = {
            "unary": grpc.unary_unary_rpc_method_handler(self.unary),
            "down": grpc.unary_stream_rpc_method_handler(self.down),
            "up": grpc.stream_unary_rpc_method_handler(self.up),
            "both": grpc.stream_stream_rpc_method_handler(self.both),
            "status": grpc.unary_unary_rpc_method_handler(self.status),
            "wait": grpc.unary_unary_rpc_method_handler(self.wait),
        }
        return handlers.get(name)

    def note(self, context):
        self.metadata = dict(context.invocation_metadata())
        self.deadline = context.time_remaining()

    def unary(self, message, context):
        self.note(context)
        if "x-echo-bin" in self.metadata:
            context.send_initial_metadata([("x-echo", self.metadata.get("x-echo", ""))])
            context.set_trailing_metadata([("x-echo-bin", self.metadata["x-echo-bin"])])
        return message

    def down(self, message, context):
        for byte in message:
            yield bytes([byte]) * 1000

    def up(self, messages, context):
        return b"".join(messages)

    def both(self, messages, context):
        self.note(context)
        context.add_callback(self.cancelled.set)
        yield from messages

    def status(self, message, context):
        metadata = dict(context.invocation_metadata())
        context.abort(grpc.StatusCode[metadata["code"]], message.decode())

    def wait(self, message, context):
        self.note(context)
        context.add_callback(self.cancelled.set)
        self.cancelled.wait(20)
        return b""


def serve(handler, credentials=None):
    """The server of it; its port is in handler.port."""
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((handler,))
    if credentials:
        handler.port = server.add_secure_port("127.0.0.1:0", credentials)
    else:
        handler.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server


def method(channel, name, service=SERVICE):
    kind = {"down": channel.unary_stream, "up": channel.stream_unary,
            "both": channel.stream_stream}.get(name, channel.unary_unary)
    return kind(f"/{service}/{name}")
