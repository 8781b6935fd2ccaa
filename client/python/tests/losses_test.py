import costate
import numpy as np
import pytest
from costate import Expression, Integral, InvalidRequest, LeastSquares, Linear, Terminal
from costate._arrays import from_proto
from costate._losses import loss_to_proto
from costate._model import info_from_proto
from costate._proto import message


@pytest.fixture(scope="module")
def info():
    layout = message("TensorLayout")
    return info_from_proto(
        message("Model")(
            name="models/0",
            states=[layout(name="a"), layout(name="y", shape=[2], offset=1)],
            outputs=[layout(name="o")],
        )
    )


def test_least_squares():
    loss = LeastSquares(output="o", t=[1, 2], values=[3, np.nan], sigma=0.5, half=True)
    (term,) = loss_to_proto(loss, None).terms
    squares = term.least_squares
    assert squares.output == "o"
    assert squares.half
    np.testing.assert_array_equal(from_proto(squares.times), [1, 2])
    np.testing.assert_array_equal(from_proto(squares.values), [3, np.nan])
    np.testing.assert_array_equal(from_proto(squares.sigma), [0.5, 0.5])


def test_least_squares_of_a_tensor_is_one_term_per_element():
    values = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    terms = loss_to_proto(LeastSquares(state="y", t=[0, 1, 2], values=values), None).terms
    assert [term.least_squares.state for term in terms] == ["y[0]", "y[1]"]
    np.testing.assert_array_equal(from_proto(terms[1].least_squares.values), values[:, 1])
    assert not terms[0].least_squares.HasField("sigma")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"t": [1], "values": [1]}, "exactly one of output and state"),
        ({"output": "o", "state": "a", "t": [1], "values": [1]}, "exactly one"),
        ({"output": "o", "t": [1, 2], "values": [1]}, "1 values for 2 times"),
        ({"output": "o", "t": [1], "values": [1], "sigma": 0}, "positive"),
        ({"output": "o", "t": [1], "values": [1], "sigma": np.nan}, "positive"),
        ({"output": "o", "t": [1], "values": [1], "sigma": [1, 2]}, "does not fit"),
    ],
)
def test_least_squares_refuses(arguments, error):
    with pytest.raises(ValueError, match=error):
        LeastSquares(**arguments)


def test_linear_and_terminal_weights_follow_the_layout(info):
    loss = Linear(t=[1, 2], states={"y[1]": [10, 20]}, outputs={"o": 3})
    (term,) = loss_to_proto(loss, info).terms
    np.testing.assert_array_equal(from_proto(term.linear.state_weights), [[0, 0, 10], [0, 0, 20]])
    np.testing.assert_array_equal(from_proto(term.linear.output_weights), [[3], [3]])
    (term,) = loss_to_proto(Terminal(states={"y": [5, 6]}), info).terms
    np.testing.assert_array_equal(from_proto(term.terminal.state_weights), [0, 5, 6])
    assert not term.terminal.HasField("output_weights")


def test_unknown_and_misshapen_weights(info):
    with pytest.raises(InvalidRequest, match="unknown name 'q'"):
        loss_to_proto(Terminal(states={"q": 1}), info)
    with pytest.raises(InvalidRequest, match=r"shape \[3\] where \[2\]"):
        loss_to_proto(Terminal(states={"y": [1, 2, 3]}), info)


def test_losses_add(info):
    parts = [LeastSquares(output="o", t=[1], values=[1]), Terminal(states={"a": 1})]
    for loss in (parts[0] + parts[1], sum(parts), costate.Loss(parts)):
        assert len(loss_to_proto(loss, info).terms) == 2
        assert loss.needs_layout
    assert not parts[0].needs_layout
    assert repr(parts[0] + parts[1]) == "LeastSquares(o, 1 times) + Terminal(a)"
    with pytest.raises(TypeError):
        parts[0] + 1


def test_texts():
    loss = Integral("x^2") + Expression("sum(w*x)", t=[2, 1], data={"w": [3.0, np.nan], "s": 4})
    integral, expression = loss_to_proto(loss, None).terms
    assert integral.integral.integrand == "x^2"
    assert expression.expression.text == "sum(w*x)"
    np.testing.assert_array_equal(from_proto(expression.expression.times), [2, 1])
    assert [array.name for array in expression.expression.data] == ["w", "s"]
    np.testing.assert_array_equal(from_proto(expression.expression.data[0].array), [3, np.nan])
    assert from_proto(expression.expression.data[1].array).shape == ()
    np.testing.assert_array_equal(loss.times, [2, 1])
    assert repr(loss) == "Integral('x^2') + Expression('sum(w*x)', 2 times)"


@pytest.mark.parametrize(
    "make", [lambda text: Integral(text), lambda text: Expression(text, t=[1])]
)
def test_texts_refuse(make):
    with pytest.raises(InvalidRequest, match="empty"):
        make("  ")
    with pytest.raises(TypeError, match="as text"):
        make(3)


def test_expressions_need_times():
    with pytest.raises(InvalidRequest, match="no times"):
        Expression("x", t=[])
