"""A server in this process that answers what a test tells it, to look at both ends of a call."""

import concurrent.futures

import grpc
from costate import _rpc
from google.protobuf import any_pb2
from google.rpc import status_pb2

METHODS = {method.path: method for method in vars(_rpc).values() if isinstance(method, _rpc.Method)}


class FakeServer(grpc.GenericRpcHandler):
    """`answers[path]` is a function of (request, context); requests are kept in `requests`."""

    def __init__(self):
        self.answers = {}
        self.requests = []
        self._server = grpc.server(concurrent.futures.ThreadPoolExecutor(4), handlers=[self])
        self.address = f"localhost:{self._server.add_insecure_port('localhost:0')}"
        self._server.start()

    def stop(self):
        self._server.stop(None)

    def service(self, details):
        method = METHODS[details.method]

        def answer(request, context):
            self.requests.append(request)
            return self.answers[method](request, context)

        make = grpc.unary_unary_rpc_method_handler
        if method in (_rpc.STREAM_SOLVE, _rpc.STREAM_STABILITY_REGION, _rpc.WATCH_JOB):
            make = grpc.unary_stream_rpc_method_handler
        return make(
            answer,
            request_deserializer=method.request_class.FromString,
            response_serializer=method.response_class.SerializeToString,
        )


def fail(context, code, message, *details):
    """Ends a call with a status and its google.rpc details."""
    status = status_pb2.Status(code=code.value[0], message=message)
    for detail in details:
        packed = any_pb2.Any(
            type_url=f"type.googleapis.com/{detail.DESCRIPTOR.full_name}",
            value=detail.SerializeToString(),
        )
        status.details.append(packed)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(code, message)
