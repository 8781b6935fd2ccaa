import pickle

import costate
import numpy as np
import pytest
from conftest import ROOT

WRONG = """\
model wrong
param b = 1
state y = 1
y' = -bb*y + z
output o = q
"""


def test_describe(client, sir):
    info = client.describe(sir)
    assert info.display_name == "sir"
    assert list(info.params) == ["b", "k"]
    assert float(info.params["b"].default) == 1.66
    assert (info.params["b"].lower, info.params["b"].upper) == (0.0, 10.0)
    assert dict(info.states) == {"s": (), "i": (), "r": ()}
    assert dict(info.outputs) == {"in_bed": ()}
    assert info.create_time is None
    assert "states s, i, r" in repr(info)
    assert "<table>" in info._repr_html_()
    assert client.describe(costate.Model(sir.text)) is info  # asked once


def test_tensors(client, spiral):
    info = client.describe(spiral)
    assert info.params["W1"].shape == (50, 2)
    np.testing.assert_array_equal(info.params["W1"].default, np.zeros((50, 2)))
    assert info.states["y"] == (2,)
    assert info.params["W1"].lower is None
    assert info.shape_of("t0") == ()
    assert info.shape_of("nobody") is None


def test_registered_models(client, sir):
    info = client.create_model(sir)
    assert info.name.startswith("models/")
    assert info.create_time is not None
    assert client.create_model(sir).name == info.name
    assert info.name in [model.name for model in client.list_models()]
    inline = client.solve(sir, t=(0, 5))
    assert inline.model_name == info.name
    for named in (info, info.name):
        assert client.solve(named, t=(0, 5)).y.tobytes() == inline.y.tobytes()
    assert list(client.describe(info.name).params) == ["b", "k"]
    client.delete_model(info)
    with pytest.raises(costate.NotFound):
        client.delete_model(info)
    with pytest.raises(costate.NotFound):
        client.solve(info, t=(0, 5))


def test_a_described_model_can_be_solved_unregistered(client):
    text = "param rate = 0.25\nstate y = 1\ny' = -rate*y"
    info = client.describe(costate.Model(text))
    assert info.create_time is None
    assert info.name not in [model.name for model in client.list_models()]
    by_info = client.solve(info, t=(0, 2))
    assert by_info.model_name == info.name
    assert by_info.final["y"] == pytest.approx(np.exp(-0.5), rel=1e-6)
    again = pickle.loads(pickle.dumps(info))
    assert client.solve(again, t=(0, 2)).y.tobytes() == by_info.y.tobytes()


@pytest.mark.parametrize("text", ["state y = 1; y' = -y", "\nstate y = 1\ny' = -y\n"])
def test_a_text_may_stand_for_its_model(client, text):
    as_text = client.solve(text, t=(0, 1))
    assert as_text.y.tobytes() == client.solve(costate.Model(text), t=(0, 1)).y.tobytes()
    end = costate.Terminal(states={"y": 1.0})  # needs the layout of the model
    assert client.gradient(text, t=(0, 1), loss=end, wrt="y").value == pytest.approx(np.exp(-1))


def check_wrong(error):
    messages = [issue.message for issue in error.issues]
    assert len(messages) >= 3
    assert [issue.line for issue in error.issues] == sorted(issue.line for issue in error.issues)
    assert any("bb" in message for message in messages)
    first = error.issues[0]
    assert WRONG.splitlines()[first.line - 1][first.column - 1 :].startswith("bb")
    text = str(error)
    assert "-bb*y + z" in text
    assert "^" in text


def test_a_wrong_model_shows_all_issues_with_carets(client):
    with pytest.raises(costate.ModelError) as caught:
        client.solve(costate.Model(WRONG), t=(0, 1))
    check_wrong(caught.value)
    assert caught.value.field
    with pytest.raises(costate.ModelError) as caught:
        client.describe(costate.Model(WRONG))
    check_wrong(caught.value)
    with pytest.raises(costate.ModelError) as caught:
        client.create_model(costate.Model(WRONG))
    check_wrong(caught.value)


def test_a_long_list_of_issues_is_whole_in_describe(client):
    lines = [f"y{n}' = z{n}" for n in range(300)]
    model = costate.Model("\n".join([*(f"state y{n} = 0" for n in range(300)), *lines]))
    with pytest.raises(costate.ModelError) as cut:
        client.solve(model, t=(0, 1))
    assert "issues" in str(cut.value)
    with pytest.raises(costate.ModelError) as whole:
        client.describe(model)
    assert len(whole.value.issues) > len(cut.value.issues) > 0


def test_model_values():
    model = costate.Model("model m\nstate y = 1\ny' = 1")
    assert model == costate.Model(model.text)
    assert hash(model) == hash(costate.Model(model.text))
    assert model != costate.Model("state y = 1\ny' = 1")
    assert repr(model) == "<costate.Model m, 3 lines>"
    assert pickle.loads(pickle.dumps(model)) == model
    assert costate.Model("a < b")._repr_html_() == "<pre>a &lt; b</pre>"
    path = ROOT / "tests" / "problems" / "sir.ode"
    assert costate.Model.from_file(path).text == path.read_text(encoding="utf-8")
    with pytest.raises(TypeError, match="from_file"):
        costate.Model(path)


def test_what_is_not_a_model(client):
    with pytest.raises(costate.InvalidRequest, match=r"'sir\.ode'.*Model\.from_file"):
        client.solve("sir.ode")
    with pytest.raises(TypeError):
        client.solve(7)
    with pytest.raises(costate.NotFound):
        client.solve("models/" + 32 * "0")


def test_server_info(client):
    info = client.server_info()
    assert "costate.v1" in info.api_packages
    assert info.evaluator in ("llvm", "interpreter")
    assert info.methods["tsit5"].order == 5
    assert info.methods["rk4"].error_order == 0
    assert info.limits["max_message_bytes"] == 64 << 20
    assert info.limits["max_deadline"] > 0
    assert "tanh" in info.ops
    assert "tsit5" in repr(info)
    assert set(info.methods) <= {
        "euler",
        "midpoint",
        "heun",
        "ralston2",
        "ralston3",
        "bosh3",
        "rk4",
        "tsit5",
        "dopri5",
        "dopri8",
        "ees25",
        "ees27",
        "alf",
        "reversible_heun",
        "leapfrog_midpoint",
    }
