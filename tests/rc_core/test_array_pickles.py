import os
import pickle
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rc_core.array_pickles import load_array_dict

CONTENT = {
    "data": np.arange(12, dtype=np.uint8).reshape(3, 4),
    "wide": np.array([1.5, -2.0]),
    "fortran": np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3)),
    "labels": [1, 2, 3],
    "name": "training batch 1 of 5",
    "raw": b"\x00\xff",
}


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_of_every_protocol_are_read(protocol):
    found = load_array_dict(pickle.dumps(CONTENT, protocol))
    assert found.keys() == CONTENT.keys()
    for key, value in CONTENT.items():
        np.testing.assert_array_equal(found[key], value)
    assert found["data"].dtype == np.uint8


class Malicious:
    def __reduce__(self):
        return os.mkdir, ("hacked",)


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_else_is_called(tmp_path, monkeypatch, protocol):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"asks for (posix|nt|os)\.mkdir, which is not allowed"):
        load_array_dict(pickle.dumps({"data": Malicious()}, protocol))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text",
        pickle.dumps(CONTENT)[:-20],
        b"c__builtin__\neval\n(S'1'\ntR.",
        b"\x80\x02c_codecs\nencode\nU\x01aU\x03rot\x86R.",
        pickle.dumps({"data": np.array([object()], dtype=object)}, 2),
        pickle.dumps({"data": np.array(["text"])}, 2),
    ],
)
def test_other_pickles_are_refused(data):
    with pytest.raises(ValueError, match="not a readable pickle of arrays"):
        load_array_dict(data)


def test_only_a_dict_will_do():
    with pytest.raises(ValueError, match="holds a list, expected a dict"):
        load_array_dict(pickle.dumps([1]))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damage_is_an_error_or_still_a_dict(data):
    content = bytearray(pickle.dumps({"data": CONTENT["data"], "labels": [1, 2]}, 2))
    where = data.draw(st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(1, 255)), min_size=1))
    for position, mask in where:
        content[position] ^= mask
    with suppress(ValueError):
        assert isinstance(load_array_dict(bytes(content)), dict)
