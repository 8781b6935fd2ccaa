import asyncio
import pickle
import time
import traceback

import costate
import grpc
import pytest
from costate import _proto, _rpc
from fake_server import fail
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2 as details

Code = grpc.StatusCode


def failing(*arguments):
    return lambda request, context: fail(context, *arguments)


def caught_from(fake, fake_client, *arguments):
    fake.answers[_rpc.GET_SERVER_INFO] = failing(*arguments)
    with pytest.raises(costate.CostateError) as caught:
        fake_client.server_info()
    return caught.value


@pytest.mark.parametrize(
    ("code", "kind", "builtin"),
    [
        (Code.INVALID_ARGUMENT, costate.InvalidRequest, ValueError),
        (Code.OUT_OF_RANGE, costate.InvalidRequest, ValueError),
        (Code.FAILED_PRECONDITION, costate.InvalidRequest, ValueError),
        (Code.NOT_FOUND, costate.NotFound, LookupError),
        (Code.PERMISSION_DENIED, costate.PermissionDenied, PermissionError),
        (Code.UNAUTHENTICATED, costate.PermissionDenied, PermissionError),
        (Code.RESOURCE_EXHAUSTED, costate.LimitExceeded, Exception),
        (Code.UNAVAILABLE, costate.Unavailable, ConnectionError),
        (Code.CANCELLED, costate.Cancelled, Exception),
        (Code.UNIMPLEMENTED, costate.Unimplemented, NotImplementedError),
        (Code.INTERNAL, costate.ServerError, Exception),
        (Code.DATA_LOSS, costate.ServerError, Exception),
    ],
)
def test_each_code_has_its_exception(fake, fake_client, code, kind, builtin):
    error = caught_from(fake, fake_client, code, "the text")
    assert type(error) is kind
    assert isinstance(error, builtin)
    assert error.code == code.name
    assert error.method == "ServerService/GetServerInfo"
    assert "the text" in str(error)


def test_tracebacks_show_no_grpc_error(fake, fake_client):
    error = caught_from(fake, fake_client, Code.INTERNAL, "broken")
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    assert "RpcError" not in text
    assert "InactiveRpc" not in text


def test_field_reason_and_metadata(fake, fake_client):
    error = caught_from(
        fake,
        fake_client,
        Code.INVALID_ARGUMENT,
        "two fields are wrong",
        details.BadRequest(
            field_violations=[
                details.BadRequest.FieldViolation(field="options.rtol", description="got -1"),
                details.BadRequest.FieldViolation(field="t1", description="missing"),
            ]
        ),
        details.ErrorInfo(reason="OUT_OF_RANGE", domain="costate.dev", metadata={"value": "-1"}),
    )
    assert error.field == "options.rtol"
    assert [v.description for v in error.violations] == ["got -1", "missing"]
    assert error.reason == "got -1"
    assert error.metadata == {"reason": "OUT_OF_RANGE", "value": "-1"}
    assert str(error).splitlines() == [
        "two fields are wrong",
        "  options.rtol: got -1",
        "  t1: missing",
    ]


def test_model_issues_with_caret(fake, fake_client):
    formatted = "model:2:6: unknown name 'z'\ny' = z\n     ^\nhint: declare it"
    issues = _proto.message("ModelIssues")(formatted=formatted)
    issues.issues.add(line=2, column=6, length=1, message="unknown name 'z'", hint="declare it")
    error = caught_from(
        fake,
        fake_client,
        Code.INVALID_ARGUMENT,
        f"model.text: the model has 1 issue\n{formatted}",
        issues,
    )
    assert type(error) is costate.ModelError
    assert isinstance(error, costate.InvalidRequest)
    assert str(error) == f"model.text: the model has 1 issue\n{formatted}"
    assert error.issues == (costate.Issue(2, 6, 1, "unknown name 'z'", "declare it"),)
    assert error.reason == str(error.issues[0])
    assert str(error.issues[0]) == "2:6: unknown name 'z' (declare it)"


def test_cut_issue_list_says_so(fake, fake_client):
    issues = _proto.message("ModelIssues")(formatted="first")
    issues.issues.add(message="first")
    error = caught_from(
        fake, fake_client, Code.INVALID_ARGUMENT, "the model has 9 issues, the first is\nx", issues
    )
    assert str(error).splitlines()[0] == (
        "the model has 9 issues; here are 1, client.describe(model) lists all"
    )


def test_details_that_do_not_parse_do_not_hide_the_error(fake, fake_client):
    def answer(request, context):
        context.set_trailing_metadata((("grpc-status-details-bin", b"\xff\xff"),))
        context.abort(Code.INVALID_ARGUMENT, "the text")

    fake.answers[_rpc.GET_SERVER_INFO] = answer
    with pytest.raises(costate.InvalidRequest, match="the text"):
        fake_client.server_info()


@pytest.mark.parametrize(
    "error",
    [
        costate.InvalidRequest("m", violations=[costate.Violation("f", "d")], code="X"),
        costate.ModelError("m", issues=[costate.Issue(1, 2, 3, "i")], formatted="t"),
        costate.Unavailable("m", retry_after=2.0),
        costate.ServerNotFound("m"),
        costate.UnknownName("m"),
    ],
)
def test_errors_pickle_and_print(error):
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert copy.__dict__ == error.__dict__
    assert str(copy) == str(error)
    assert str(error).startswith("m")


def test_deadline(fake, fake_client):
    fake.answers[_rpc.GET_SERVER_INFO] = lambda request, context: time.sleep(1)
    with pytest.raises(costate.DeadlineExceeded, match=r"longer than 0.1 s.*timeout") as caught:
        fake_client.server_info(timeout=0.1)
    assert isinstance(caught.value, TimeoutError)


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_timeouts_are_positive(fake_client, timeout):
    with pytest.raises(ValueError, match="positive"):
        fake_client.server_info(timeout=timeout)


def test_default_deadline_reaches_the_server(fake):
    left = []

    def answer(request, context):
        left.append(context.time_remaining())
        return _rpc.GET_SERVER_INFO.response_class()

    fake.answers[_rpc.GET_SERVER_INFO] = answer
    with costate.connect(fake.address) as client:
        client.server_info()
        client.server_info(timeout=5)
        client.server_info(timeout=float("inf"))
    assert 50 < left[0] < 61
    assert 4 < left[1] < 6
    assert left[2] is None or left[2] > 1e6


def flaky(failures, code, *extra):
    """Answers after so many failures."""
    calls = []

    def answer(request, context):
        calls.append(time.monotonic())
        if len(calls) <= failures:
            fail(context, code, "not now", *extra)
        return _rpc.GET_SERVER_INFO.response_class(info={"version": "1.2.3"})

    return answer, calls


RETRY = details.RetryInfo(retry_delay=duration_pb2.Duration(nanos=50_000_000))


@pytest.mark.parametrize(
    ("code", "extra"), [(Code.UNAVAILABLE, ()), (Code.RESOURCE_EXHAUSTED, (RETRY,))]
)
def test_tries_again(fake, fake_client, code, extra):
    answer, calls = flaky(2, code, *extra)
    fake.answers[_rpc.GET_SERVER_INFO] = answer
    assert fake_client.server_info().version == "1.2.3"
    assert len(calls) == 3
    assert min(b - a for a, b in zip(calls, calls[1:])) >= 0.05


def test_gives_up_after_four_tries(fake, fake_client):
    answer, calls = flaky(99, Code.RESOURCE_EXHAUSTED, RETRY)
    fake.answers[_rpc.GET_SERVER_INFO] = answer
    with pytest.raises(costate.Overloaded) as caught:
        fake_client.server_info()
    assert len(calls) == 4
    assert caught.value.retry_after == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({"dt": -1.0}, "dt"),
        ({"t": (0, float("nan"))}, "t"),
        ({"y0": {"ii": 1.0}}, "y0"),
        ({"save_at": [1.0, 0.5]}, "save_at"),
        ({"controller": costate.Controller(safety=2)}, "controller"),
        ({"rtol": -1.0}, ""),
        ({"params": {"bb": 1.0}}, ""),
    ],
)
def test_refused_fields_name_their_argument(client, sir, arguments, argument):
    with pytest.raises(costate.InvalidRequest) as caught:
        client.solve(sir, **{"t": (0, 1), **arguments})
    assert caught.value.argument == argument
    assert ("the argument" in str(caught.value)) == bool(argument)
    assert argument in str(caught.value)


def test_a_limit_is_not_overload(fake, fake_client):
    text = "the trajectory passes 20000 bytes"
    error = caught_from(fake, fake_client, Code.RESOURCE_EXHAUSTED, text)
    assert type(error) is costate.LimitExceeded
    assert not isinstance(error, costate.Overloaded)
    assert error.retry_after is None
    error = caught_from(fake, fake_client, Code.RESOURCE_EXHAUSTED, "at capacity", RETRY)
    assert type(error) is costate.Overloaded


@pytest.mark.parametrize("timeout", [1e9, 1e12, 1e300, float("inf")])
def test_long_timeouts_do_not_end_at_once(fake, fake_client, timeout):
    info = _rpc.GET_SERVER_INFO.response_class(info={"version": "1.2.3"})
    fake.answers[_rpc.GET_SERVER_INFO] = lambda request, context: info
    assert fake_client.server_info(timeout=timeout).version == "1.2.3"


def test_does_not_try_again_where_that_is_no_use(fake, fake_client):
    later = details.RetryInfo(retry_delay=duration_pb2.Duration(seconds=30))
    for code, extra in [
        (Code.RESOURCE_EXHAUSTED, ()),
        (Code.RESOURCE_EXHAUSTED, (later,)),  # past the deadline
        (Code.INTERNAL, ()),
        (Code.INVALID_ARGUMENT, ()),
    ]:
        answer, calls = flaky(99, code, *extra)
        fake.answers[_rpc.GET_SERVER_INFO] = answer
        with pytest.raises(costate.CostateError):
            fake_client.server_info()
        assert len(calls) == 1


def test_does_not_delete_twice(fake, fake_client):
    calls = []

    def answer(request, context):
        calls.append(request)
        fail(context, Code.UNAVAILABLE, "gone")

    fake.answers[_rpc.DELETE_MODEL] = answer
    with pytest.raises(costate.Unavailable):
        fake_client.delete_model("models/0")
    assert len(calls) == 1


def test_nobody_there():
    with costate.connect("localhost:1") as client, pytest.raises(costate.Unavailable) as caught:
        client.server_info(timeout=5)
    assert "no Costate server answers at localhost:1" in str(caught.value)


def test_asyncio_maps_and_retries_alike(fake):
    async def run():
        async with costate.aio.connect(fake.address) as client:
            answer, calls = flaky(2, Code.UNAVAILABLE)
            fake.answers[_rpc.GET_SERVER_INFO] = answer
            assert (await client.server_info()).version == "1.2.3"
            assert len(calls) == 3
            fake.answers[_rpc.GET_SERVER_INFO] = failing(Code.INVALID_ARGUMENT, "wrong")
            with pytest.raises(costate.InvalidRequest, match="wrong"):
                await client.server_info()

    asyncio.run(run())


def test_a_misspelt_argument_is_a_type_error(fake_client):
    with pytest.raises(TypeError, match=r"solve\(\).*did you mean 'rtol'"):
        fake_client.solve(costate.Model("x"), rtoll=1e-3)


def test_a_gradient_method_as_method_is_explained(fake_client):
    loss = costate.LeastSquares(output="o", t=[1], values=[1])
    with pytest.raises(costate.InvalidRequest, match="gradient_method='forward'"):
        fake_client.gradient(costate.Model("x"), loss=loss, method="forward")


def test_a_method_as_gradient_method_is_explained(fake_client):
    loss = costate.LeastSquares(output="o", t=[1], values=[1])
    with pytest.raises(costate.InvalidRequest, match="method='tsit5'"):
        fake_client.gradient(costate.Model("x"), loss=loss, gradient_method="tsit5")


def test_what_is_no_model_is_named(fake_client):
    with pytest.raises(TypeError, match=r"costate\.Model"):
        fake_client.describe(["x"])


def test_a_closed_client_says_so(fake):
    client = costate.connect(fake.address)
    client.close()
    client.close()
    with pytest.raises(ValueError, match="closed"):
        client.server_info()
    assert "closed" in repr(client)


@pytest.mark.parametrize(
    ("field", "argument"),
    [
        ("spec.fit.free[2].lower", "parameters"),
        ("spec.fit.simulation.t1", "t"),
        ("spec.fit.simulation.options.method", "solver"),
        ("spec.profile.fit.simulation.options.method", "solver"),
        ("spec.solve.simulation.options.method", ""),
        ("spec.gradient.gradient.method", "gradient_method"),
        ("spec.fit.data[0].sigma", ""),
        ("spec.display_name", "name"),
        ("spec.priority", ""),
    ],
)
def test_fields_of_jobs_name_their_argument(field, argument):
    error = costate.InvalidRequest("x", violations=[costate.Violation(field, "is wrong")])
    assert error.argument == argument
