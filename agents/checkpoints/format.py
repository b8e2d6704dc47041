"""`Blob` <-> safetensors bytes. Nothing in such a file can run code when it is read, unlike a pickle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from mmap import mmap
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from agents.checkpoints.contract import Blob, CheckpointCorrupt

_DTYPES = {"bool": "BOOL"}
"""numpy's name -> that of the file format."""
_DTYPES |= {f"float{bits}": f"F{bits}" for bits in (16, 32, 64)}
_DTYPES |= {f"int{bits}": f"I{bits}" for bits in (8, 16, 32, 64)}
_DTYPES |= {f"uint{bits}": f"U{bits}" for bits in (8, 16, 32, 64)}
_HEADER = "__metadata__"
# One entry: the file format keeps its metadata unordered, and equal blobs must give equal bytes.
_ENTRY = "json"


def encode(blob: Blob) -> bytes:
    """The blob as a safetensors file. Equal blobs give equal bytes, whatever the order of their names.

    Raises: ValueError naming the tensor or metadata that can not be stored.
    """
    return bytes(encode_aside(blob))


def encode_aside(blob: Blob) -> mmap:
    """The same, in memory of its own, while other threads go on.

    For a learner of large networks: the library's own `save` holds the interpreter for as long as it copies, and so
    does the making of a `bytes` or `bytearray` of that size.
    """
    tensors = {name: _storable(name, array) for name, array in blob.tensors.items()}
    header: dict[str, Any] = {_HEADER: {_ENTRY: to_json(blob.metadata, "the blob's metadata").decode()}}
    size = 0
    # The widest first: then every array begins at a multiple of its item size.
    for name, array in sorted(tensors.items(), key=lambda item: (-item[1].itemsize, item[0])):
        header[name] = {
            "dtype": _DTYPES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [size, size + array.nbytes],
        }
        size += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    start = 8 + len(text)
    data = mmap(-1, start + size)
    data[:start] = len(text).to_bytes(8, "little") + text
    body = np.frombuffer(data, np.uint8)[start:]
    for name, array in tensors.items():
        begin, end = header[name]["data_offsets"]
        body[begin:end] = array.reshape(-1).view(np.uint8)
    return data


def decode(data: bytes, name: str) -> Blob:
    """The blob in a safetensors file; its arrays are fresh and writable. `name` says in errors which object it was.

    Raises: CheckpointCorrupt.
    """
    try:
        tensors = safetensors.numpy.load(data)
        # The library checked the header above but hands out metadata only for files on disk.
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + size])
    except (SafetensorError, ValueError, KeyError) as error:
        raise CheckpointCorrupt(
            f"{name} is no safetensors file ({error}); it was not used. "
            "Likely it was cut short or written by another program"
        ) from error
    text = header.get(_HEADER, {}).get(_ENTRY)
    if text is None:
        raise CheckpointCorrupt(
            f"{name}: found safetensors without the metadata entry {_ENTRY!r}; it was not used. "
            "Likely it was written by another program"
        )
    return Blob(tensors, from_json(text.encode(), name))


def sha256(data: bytes | mmap) -> str:
    """64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def to_json(values: Mapping[str, Any], name: str) -> bytes:
    """One line of JSON, keys sorted.

    Raises: ValueError saying what in `name` is not JSON.
    """
    try:
        _check_keys(values)
        return json.dumps(dict(values), sort_keys=True, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} can not be stored as JSON: {error}; needed text, finite numbers, booleans, None, "
            "and lists and dictionaries of them. "
            "Arrays belong among the tensors, and None stands for a number that is not known"
        ) from error


def from_json(data: bytes, name: str) -> dict[str, Any]:
    """Raises: CheckpointCorrupt."""
    try:
        values = json.loads(data)
    except ValueError as error:
        raise CheckpointCorrupt(f"{name}: found text that is no JSON ({error}); it was not used") from error
    if not isinstance(values, dict):
        raise CheckpointCorrupt(f"{name}: found a JSON {type(values).__name__}, needed an object; it was not used")
    return values


def _check_keys(values: Any) -> None:
    """JSON would turn the key 1 into the text "1" without a word."""
    if isinstance(values, Mapping):
        for key, value in values.items():
            if not isinstance(key, str):
                raise TypeError(f"found the key {key!r}, needed a text")
            _check_keys(value)
    elif isinstance(values, (list, tuple)):
        for value in values:
            _check_keys(value)


def _storable(name: str, array: NDArray[Any]) -> NDArray[Any]:
    if not isinstance(name, str) or not name or name == _HEADER:
        raise ValueError(f"found a tensor named {name!r}, needed a text that is neither empty nor {_HEADER!r}")
    # The library writes the memory behind an array as it lies: a transposed one would come back scrambled.
    plain = np.asarray(array, order="C")
    if plain.dtype.name not in _DTYPES:
        raise ValueError(f"tensor {name!r} has dtype {plain.dtype}, needed one of {', '.join(sorted(_DTYPES))}")
    return plain.astype(plain.dtype.newbyteorder("<"), copy=False)
