import hashlib
import json
import os
import pickle
import struct

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rc_core.checkpoints import (
    CheckpointError,
    checkpoint_name,
    checkpoint_steps,
    delete_checkpoints,
    load_checkpoint,
    newest_checkpoint,
    save_checkpoint,
)
from rc_core.storage import LocalStorage

TENSORS, META = "state.safetensors", "checkpoint.json"


def state() -> dict[str, torch.Tensor]:
    """One tensor of every kind that a run's state has, and some that it might have."""
    generator = torch.Generator().manual_seed(1)
    kernel = torch.randn(4, 3, 3, 3, generator=generator)
    return {
        "model.kernel": kernel.to(memory_format=torch.channels_last),
        "model.shift": torch.nn.Parameter(torch.tensor([-0.0, float("inf"), float("nan"), 1e-45])),
        "model.norm.num_batches_tracked": torch.tensor(7),
        "mask.kernel": kernel > 0,
        "momentum.kernel": kernel.double().transpose(0, 1),
        "window": torch.tensor([1.5, 2.0, 3.0], dtype=torch.float64),
        "half": kernel[0].half(),
        "brain": kernel[1].bfloat16(),
        "bytes": torch.arange(5, dtype=torch.uint8),
        "int32": torch.tensor([-(2**31), 2**31 - 1], dtype=torch.int32),
        "empty": torch.zeros(0, 3),
    }


def bits(tensor: torch.Tensor) -> bytes:
    """Elements in row order, as they lie in memory: distinguishes -0 from 0 and keeps NaN."""
    tensor = tensor.detach().contiguous().reshape(-1)
    return tensor.view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


def test_a_round_trip_keeps_every_bit(tmp_path):
    folder, meta = LocalStorage(tmp_path), {"cell": {"seed": 42}, "history": {"loss": [0.1, 1 / 3]}}
    sha256 = save_checkpoint(folder, 123, state(), meta)
    found = load_checkpoint(folder)
    assert (found.step, found.sha256) == (123, sha256)
    assert {name: found.meta[name] for name in meta} == meta
    assert found.tensors.keys() == state().keys()
    for name, tensor in state().items():
        assert found.tensors[name].dtype == tensor.dtype, name
        assert found.tensors[name].shape == tensor.shape, name
        assert bits(found.tensors[name]) == bits(tensor), name


def test_the_files_are_json_and_plain_numbers(tmp_path):
    # Read by hand: the length of the header (8 bytes), the header in JSON, then the numbers themselves.
    save_checkpoint(LocalStorage(tmp_path), 5, state(), {"cell": None})
    assert sorted(path.name for path in tmp_path.iterdir()) == [META, TENSORS]
    content = (tmp_path / TENSORS).read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    assert header.keys() == state().keys()
    ends = [0]
    for name, tensor in state().items():
        start, end = header[name]["data_offsets"]
        ends.append(end)
        assert header[name]["shape"] == list(tensor.shape)
        assert content[8 + length + start : 8 + length + end] == bits(tensor), name
    assert 8 + length + max(ends) == len(content)
    meta = json.loads((tmp_path / META).read_text())
    rest = {name: value for name, value in meta.items() if name != "meta_sha256"}
    plain = json.dumps(rest, sort_keys=True).encode()
    assert meta.pop("meta_sha256") == hashlib.sha256(plain).hexdigest()
    assert meta == {
        "format": 1,
        "step": 5,
        "tensors_sha256": hashlib.sha256(content).hexdigest(),
        "cell": None,
    }


def test_nothing_is_pickled(tmp_path, monkeypatch):
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("pickle")

    for module, names in ((pickle, ("dump", "dumps", "load", "loads")), (torch, ("save", "load"))):
        for name in names:
            monkeypatch.setattr(module, name, refuse)
    save_checkpoint(LocalStorage(tmp_path), 5, state(), {})
    assert load_checkpoint(LocalStorage(tmp_path)).step == 5


def test_equal_tensors_have_an_equal_hash(tmp_path):
    first = save_checkpoint(LocalStorage(tmp_path / "a"), 5, state(), {"seconds": 1.0})
    backwards = dict(reversed([(name, tensor.detach().clone()) for name, tensor in state().items()]))
    backwards["model.kernel"] = backwards["model.kernel"].contiguous()
    assert save_checkpoint(LocalStorage(tmp_path / "b"), 6, backwards, {"seconds": 2.0}) == first
    for change in ("value", "name"):
        other = state()
        if change == "value":
            other["mask.kernel"][0, 0, 0, 0] = ~other["mask.kernel"][0, 0, 0, 0]
        else:
            other["mask.kernal"] = other.pop("mask.kernel")
        assert save_checkpoint(LocalStorage(tmp_path / change), 5, other, {}) != first


def test_a_checkpoint_does_not_follow_the_tensors_that_it_was_made_from(tmp_path):
    tensors = {"w": torch.ones(3)}
    save_checkpoint(LocalStorage(tmp_path), 1, tensors, {})
    tensors["w"].zero_()
    assert load_checkpoint(LocalStorage(tmp_path)).tensors["w"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_json_is_refused(tmp_path, value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_checkpoint(LocalStorage(tmp_path), 1, {"w": torch.ones(3)}, {"loss": value})
    with pytest.raises(CheckpointError):
        load_checkpoint(LocalStorage(tmp_path))


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> LocalStorage:
    folder = LocalStorage(tmp_path_factory.mktemp("whole"))
    save_checkpoint(folder, 5, {"w": torch.arange(40.0), "m": torch.ones(9) > 0}, {"note": "für später"})
    return folder


def damaged(whole: LocalStorage, name: str, content: bytes) -> LocalStorage:
    folder = whole.folder("damaged")
    for file in (TENSORS, META):
        folder.write(file, content if file == name else whole.read(file))
    return folder


@given(st.data())
def test_any_flipped_byte_of_the_tensors_is_found(whole, data):
    content = bytearray(whole.read(TENSORS))
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CheckpointError, match=r"state\.safetensors: SHA-256 is .*the file is damaged"):
        load_checkpoint(damaged(whole, TENSORS, bytes(content)))


@given(st.data())
def test_tensors_cut_off_or_with_a_tail_are_found(whole, data):
    content = whole.read(TENSORS)
    length = data.draw(st.integers(0, len(content) - 1))
    for other in (content[:length], content + b"\0" * (length + 1)):
        with pytest.raises(CheckpointError, match="the file is damaged"):
            load_checkpoint(damaged(whole, TENSORS, other))


def test_a_description_cut_off_anywhere_is_found(whole):
    content = whole.read(META)
    assert content.endswith(b"}\n")
    for length in range(len(content) - 1):  # less the line's end it is whole
        with pytest.raises(CheckpointError, match="damaged"):
            load_checkpoint(damaged(whole, META, content[:length]))


@given(st.data())
def test_a_flipped_byte_of_the_description_never_gives_other_tensors_or_another_error(whole, data):
    content = bytearray(whole.read(META))
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    try:
        found = load_checkpoint(damaged(whole, META, bytes(content)))
    except CheckpointError:
        return
    assert torch.equal(found.tensors["w"], torch.arange(40.0))


@pytest.mark.parametrize("content", [b"[]", b"3", b"null", b"{}", b'{"step": 5}', b"\xff\xfe", b""])
def test_another_description_is_no_checkpoint(whole, content):
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(damaged(whole, META, content))


@pytest.mark.parametrize("name", [TENSORS, META])
def test_a_missing_file_is_named_by_its_folder(whole, name):
    folder = damaged(whole, "", b"")
    folder.delete(name)
    with pytest.raises(CheckpointError, match=r"damaged: not a whole checkpoint \(.*No such file"):
        load_checkpoint(folder)


def test_a_missing_folder_is_no_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match="nowhere: not a whole checkpoint"):
        load_checkpoint(LocalStorage(tmp_path / "nowhere"))
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="file: not a whole checkpoint"):
        load_checkpoint(LocalStorage(tmp_path / "file"))


def test_a_storage_that_is_out_of_reach_is_another_matter(whole, monkeypatch):
    # Were this taken for damage, a run would start anew because the network was down for a moment.
    def unreachable(self: LocalStorage, name: str) -> bytes:
        raise OSError("connection reset")

    monkeypatch.setattr(LocalStorage, "read", unreachable)
    with pytest.raises(OSError, match="connection reset"):
        load_checkpoint(whole)


class CrashError(Exception):
    pass


@pytest.mark.parametrize("crash_at", range(4))
def test_a_crash_while_one_is_replaced_leaves_the_old_or_the_new_or_none(tmp_path, monkeypatch, crash_at):
    folder = LocalStorage(tmp_path)
    old, new = {"w": torch.zeros(3)}, {"w": torch.ones(3)}
    save_checkpoint(folder, 5, old, {"run": "old"})
    operations = []

    def crashing(method):
        def wrapped(self, *args):
            operations.append(args[0])
            if len(operations) > crash_at:
                raise CrashError
            return method(self, *args)

        return wrapped

    with monkeypatch.context() as patch:
        for name in ("write", "delete"):
            patch.setattr(LocalStorage, name, crashing(getattr(LocalStorage, name)))
        if crash_at < 3:
            with pytest.raises(CrashError):
                save_checkpoint(folder, 5, new, {"run": "new"})
        else:
            save_checkpoint(folder, 5, new, {"run": "new"})
    # Not a single moment in which one's description lies beside the other's tensors.
    assert operations == [META, TENSORS, META][: crash_at + 1]
    if crash_at in (1, 2):
        with pytest.raises(CheckpointError):
            load_checkpoint(folder)
    else:
        found = load_checkpoint(folder)
        assert found.meta["run"] == ("old" if crash_at == 0 else "new")
        assert found.tensors["w"].tolist() == ([0, 0, 0] if crash_at == 0 else [1, 1, 1])
    # A second attempt repairs it.
    save_checkpoint(folder, 5, new, {"run": "new"})
    assert load_checkpoint(folder).tensors["w"].tolist() == [1, 1, 1]


# Several checkpoints of one cell


def cell_folder(tmp_path, *steps: int) -> LocalStorage:
    folder = LocalStorage(tmp_path)
    for step in steps:
        save_checkpoint(folder.folder(checkpoint_name(step)), step, {"w": torch.tensor([step])}, {})
    return folder


def test_folder_names_are_frozen_and_sort_by_step():
    assert checkpoint_name(42) == "checkpoint-00000042"
    assert checkpoint_name(64_000) == "checkpoint-00064000"


def test_steps_are_listed_newest_first_and_nothing_else_is_taken_for_one(tmp_path):
    folder = cell_folder(tmp_path, 9, 100, 20, 123_456_789)
    for name in ("final", "checkpoint-", "checkpoint-12.partial", "old-checkpoint-00000300", ".checkpoint-1"):
        (tmp_path / name).mkdir()
    assert checkpoint_steps(folder) == [123_456_789, 100, 20, 9]
    assert checkpoint_steps(LocalStorage(tmp_path / "nowhere")) == []


def test_the_newest_whole_one_is_taken_and_damaged_ones_are_named(tmp_path):
    folder = cell_folder(tmp_path, 1, 2, 3, 4)
    found, passed_over = newest_checkpoint(folder)
    assert found is not None
    assert (found.step, found.tensors["w"].tolist(), passed_over) == (4, [4], [])
    os.truncate(tmp_path / "checkpoint-00000004" / TENSORS, 10)
    (tmp_path / "checkpoint-00000003" / META).unlink()
    found, passed_over = newest_checkpoint(folder)
    assert found is not None
    assert (found.step, found.tensors["w"].tolist()) == (2, [2])
    assert ["checkpoint-00000004" in passed_over[0], "checkpoint-00000003" in passed_over[1]] == [True, True]
    assert len(passed_over) == 2
    for step in (1, 2):
        (tmp_path / checkpoint_name(step) / META).write_bytes(b"\xff")
    found, passed_over = newest_checkpoint(folder)
    assert found is None
    assert len(passed_over) == 4


def test_no_checkpoint_is_none(tmp_path):
    assert newest_checkpoint(LocalStorage(tmp_path)) == (None, [])
    assert newest_checkpoint(LocalStorage(tmp_path / "nowhere")) == (None, [])


@pytest.mark.parametrize("keep", [0, 1, 2, 9])
def test_only_the_newest_are_kept(tmp_path, keep):
    folder = cell_folder(tmp_path, 5, 30, 200)
    save_checkpoint(folder.folder("final"), 200, {"w": torch.zeros(1)}, {})
    delete_checkpoints(folder, keep_newest=keep)
    assert checkpoint_steps(folder) == [200, 30, 5][:keep]
    assert load_checkpoint(folder.folder("final")).step == 200


def test_tensors_keep_their_values_on_the_way_through_numpy(tmp_path):
    # What a reader without torch gets.
    from safetensors.numpy import load_file

    save_checkpoint(LocalStorage(tmp_path), 1, {"w": torch.arange(6.0).reshape(2, 3).T}, {})
    np.testing.assert_array_equal(load_file(tmp_path / TENSORS)["w"], [[0, 3], [1, 4], [2, 5]])


@pytest.mark.parametrize(("old", "new"), [(b'"step": 5', b'"step": 6'), (b"0.25", b"0.75")])
def test_a_changed_number_in_the_json_is_damage(tmp_path, old, new):
    folder = LocalStorage(tmp_path)
    save_checkpoint(folder, 5, state(), {"history": {"train_loss": [0.25]}})
    path = tmp_path / META
    path.write_bytes(path.read_bytes().replace(old, new))
    with pytest.raises(CheckpointError, match="the file is damaged"):
        load_checkpoint(folder)
