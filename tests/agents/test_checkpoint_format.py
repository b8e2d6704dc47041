"""Blobs as safetensors files."""

from __future__ import annotations

import json

import numpy as np
import pytest
import safetensors.numpy
from numpy.typing import NDArray

from agents.checkpoints.contract import Blob, CheckpointCorrupt
from agents.checkpoints.format import decode, encode, sha256

FLOATS = ["float16", "float32", "float64"]
INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


def _round_trip(array: NDArray[np.generic]) -> NDArray[np.generic]:
    return decode(encode(Blob({"x": array}, {})), "x").tensors["x"]


@pytest.mark.parametrize("dtype", ["bool", *FLOATS, *INTEGERS])
@pytest.mark.parametrize("shape", [(), (1,), (0, 3), (2, 3, 5)])
def test_every_dtype_and_shape_comes_back_to_the_bit(dtype: str, shape: tuple[int, ...]) -> None:
    size = int(np.prod(shape))
    raw = np.random.default_rng(7).integers(0, 2 if dtype == "bool" else 256, size * np.dtype(dtype).itemsize)
    array = np.frombuffer(raw.astype(np.uint8).tobytes(), dtype=dtype).reshape(shape)

    found = _round_trip(array)

    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert found.tobytes() == array.tobytes()


def test_not_a_number_keeps_its_payload() -> None:
    bits = np.array([0x7FC00001, 0xFF800000, 0x80000000], dtype=np.uint32)

    assert np.array_equal(_round_trip(bits.view(np.float32)).view(np.uint32), bits)


@pytest.mark.parametrize("view", ["transposed", "every_second", "reversed", "fortran", "big_endian"])
def test_an_array_that_lies_otherwise_in_memory_keeps_its_values(view: str) -> None:
    plain = np.arange(12, dtype=np.float32).reshape(3, 4)
    array = {
        "transposed": plain.T,
        "every_second": plain[:, ::2],
        "reversed": plain[::-1],
        "fortran": np.asfortranarray(plain),
        "big_endian": plain.astype(">f4"),
    }[view]

    assert np.array_equal(_round_trip(array), array)


def test_decoded_arrays_can_be_written_to() -> None:
    data = encode(Blob({"x": np.zeros(3)}, {}))
    array = decode(data, "x").tensors["x"]
    array[0] = 5.0

    assert decode(data, "x").tensors["x"][0] == 0.0


def test_metadata_come_back_as_they_were() -> None:
    metadata = {"updates": 2**70, "name": "Übung", "nested": {"list": [1, 2.5, None, True]}, "": ""}

    assert decode(encode(Blob({}, metadata)), "x") == Blob({}, metadata)


def test_equal_blobs_give_equal_bytes_whatever_the_order_of_their_names() -> None:
    names = [f"layer{number}" for number in range(40)]
    tensors = {name: np.full(3, number, dtype=np.float32) for number, name in enumerate(names)}
    metadata = {name: number for number, name in enumerate(names)}
    backwards = Blob(dict(reversed(tensors.items())), dict(reversed(metadata.items())))

    assert encode(Blob(tensors, metadata)) == encode(backwards)


def test_other_tools_read_the_file() -> None:
    data = encode(Blob({"x": np.arange(3)}, {"updates": 7}))

    assert safetensors.numpy.load(data)["x"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("dtype", ["O", "U3", "complex64", "datetime64[s]", "V4"])
def test_a_dtype_that_can_not_be_stored_is_refused_by_name(dtype: str) -> None:
    with pytest.raises(ValueError, match="tensor 'actor' has dtype"):
        encode(Blob({"actor": np.zeros(2, dtype=dtype)}, {}))


@pytest.mark.parametrize("name", ["", "__metadata__"])
def test_a_tensor_name_that_the_file_format_reserves_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="tensor named"):
        encode(Blob({name: np.zeros(2)}, {}))


@pytest.mark.parametrize(
    "metadata", [{"score": float("nan")}, {"best": float("-inf")}, {"x": np.zeros(2)}, {"x": [{1: "one"}]}, {"x": {1}}]
)
def test_metadata_that_are_no_json_are_refused(metadata: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="the blob's metadata can not be stored as JSON"):
        encode(Blob({}, metadata))


def test_every_cut_of_a_file_is_refused() -> None:
    data = encode(Blob({"x": np.arange(4, dtype=np.float32)}, {"updates": 7}))

    for length in range(len(data)):
        with pytest.raises(CheckpointCorrupt, match=r"^runs/walk/policy is no safetensors file"):
            decode(data[:length], "runs/walk/policy")


@pytest.mark.parametrize("data", [b"\x80\x04\x95\x00", b"<html>" * 10, json.dumps({"x": 1}).encode()])
def test_another_kind_of_file_is_refused(data: bytes) -> None:
    with pytest.raises(CheckpointCorrupt, match="no safetensors file"):
        decode(data, "x")


@pytest.mark.parametrize("text", [None, "no json", "[1]"])
def test_a_file_without_our_metadata_is_refused(text: str | None) -> None:
    data = safetensors.numpy.save({"x": np.zeros(2)}, metadata=None if text is None else {"json": text})

    with pytest.raises(CheckpointCorrupt, match="it was not used"):
        decode(data, "x")


def test_the_checksum_is_sha_256() -> None:
    assert sha256(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
