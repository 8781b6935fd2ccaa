import struct

import numpy as np
import pytest
from costate import InvalidRequest, ServerError, UnknownName, _proto
from costate._arrays import Layout, Slot, Tensors, as_floats, from_proto, named_arrays, to_proto

LAYOUT = Layout([Slot("a", (), 0), Slot("W", (2, 3), 1), Slot("y", (2,), 7)])


@pytest.mark.parametrize("shape", [(), (1,), (5,), (2, 3), (2, 0), (4, 1, 3)])
def test_round_trip_keeps_shape_and_bits(shape):
    array = np.random.default_rng(1).standard_normal(shape)
    np.testing.assert_array_equal(from_proto(to_proto(array)), array, strict=True)


def test_bytes_are_little_endian_row_major():
    message = to_proto(np.array([[1.0, 2.0], [3.0, 4.0]]).T)
    assert message.data == struct.pack("<4d", 1, 3, 2, 4)
    assert list(message.shape) == [2, 2]


def test_special_values_survive():
    array = np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324])
    assert from_proto(to_proto(array)).tobytes() == array.tobytes()


def test_hand_written_form_and_vector_without_shape():
    message = _proto.message("Array")(values=[1.5, 2.5])
    np.testing.assert_array_equal(from_proto(message), [1.5, 2.5])


def test_a_scalar_is_told_from_a_vector_of_one():
    assert from_proto(to_proto(np.array(2.5))).shape == ()
    assert not to_proto(np.array(2.5)).data
    assert from_proto(to_proto(np.array([2.5]))).shape == (1,)
    assert from_proto(_proto.message("Array")(data=struct.pack("<d", 2.5))).shape == (1,)


def test_result_is_writable():
    array = from_proto(to_proto(np.zeros(3)))
    array[0] = 1.0
    assert array[0] == 1.0


def test_size_that_does_not_fit_its_shape_is_the_servers_fault():
    with pytest.raises(ServerError, match=r"3 elements for shape \[2, 2\]"):
        from_proto(_proto.message("Array")(shape=[2, 2], values=[1, 2, 3]))


@pytest.mark.parametrize("value", [1j, "1.0", [[1, 2], [3]], np.array(["2020-01-01"], "M8[D]")])
def test_only_real_numbers_are_taken(value):
    with pytest.raises(InvalidRequest) as caught:
        as_floats(value, "params['b']")
    assert caught.value.field == "params['b']"


def test_integers_and_booleans_become_doubles():
    assert as_floats([1, 2], "x").dtype == np.float64
    assert as_floats(True, "x") == 1.0


def test_names_need_a_mapping():
    with pytest.raises(InvalidRequest, match="mapping from names"):
        named_arrays([1.0], "params")


def test_layout_finds_tensors_and_elements():
    assert LAYOUT.find("W") == (slice(1, 7), (2, 3))
    assert LAYOUT.find("W[1,2]") == (slice(6, 7), ())
    assert LAYOUT.find("W[ 0 , 1 ]") == (slice(2, 3), ())
    assert LAYOUT.find("W[2,0]") is None
    assert LAYOUT.find("W[0]") is None
    assert LAYOUT.find("a[0]") is None
    assert LAYOUT.find("nobody") is None
    assert LAYOUT.element_names()[:3] == ["a", "W[0,0]", "W[0,1]"]


def test_tensors_take_the_place_of_the_flat_axis():
    flat = np.arange(4 * 9 * 2.0).reshape(4, 9, 2)
    tensors = Tensors(flat, LAYOUT, axis=1)
    assert tensors["a"].shape == (4, 2)
    assert tensors["W"].shape == (4, 2, 3, 2)
    np.testing.assert_array_equal(tensors["W"][:, 1, 2], flat[:, 6])
    np.testing.assert_array_equal(tensors["y[1]"], flat[:, 8])
    assert list(tensors) == ["a", "W", "y"]
    with pytest.raises(UnknownName, match="did you mean 'W'"):
        tensors["W_"]


def test_flatten_inverts_pick():
    rng = np.random.default_rng(2)
    flat = rng.standard_normal((5, 9))
    values = {slot.name: LAYOUT.pick(flat, slot.name) for slot in LAYOUT}
    np.testing.assert_array_equal(LAYOUT.flatten(values, "x", leading=(5,)), flat)


def test_flatten_repeats_and_fills():
    flat = LAYOUT.flatten({"W": [1, 2, 3], "y[1]": 7}, "atol", fill=0.5)
    np.testing.assert_array_equal(flat, [0.5, 1, 2, 3, 1, 2, 3, 0.5, 7])


def test_flatten_refuses_wrong_shapes_and_names():
    with pytest.raises(InvalidRequest, match=r"shape \[4\] where \[2, 3\] is expected"):
        LAYOUT.flatten({"W": np.zeros(4)}, "x")
    with pytest.raises(InvalidRequest, match="unknown name 'z'"):
        LAYOUT.flatten({"z": 1.0}, "x")
