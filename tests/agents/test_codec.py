"""The timestep's bytes are ordinary BSON, and come back exactly."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import bson
import numpy as np
import pytest
from bson.binary import BinaryVectorDtype
from bson.codec_options import CodecOptions

from agents.replay.codec import TimestepCodec, documents
from agents.replay.ids import timestep_id
from environment.timestep import TimeStep
from tests.contracts.replay_samples import ACTION_SIZE, STATE_SIZE, sample_episode

EPISODE = (5 << 20) | 3
NOON = datetime(2026, 11, 21, 12, 0, 0, 123000, UTC)


def _encoded(steps: list[TimeStep], codec: TimestepCodec | None = None) -> bytes:
    codec = codec or TimestepCodec("walk", STATE_SIZE, ACTION_SIZE)
    rows = codec.blank(len(steps))
    for index, step in enumerate(steps):
        codec.write(rows, index, step, episode=EPISODE, policy_version=12, time=NOON)
    return b"".join(documents(rows))


def test_any_driver_reads_the_documents_by_name() -> None:
    steps = sample_episode(1, 4)
    found: list[dict[str, Any]] = bson.decode_all(_encoded(steps), CodecOptions(tz_aware=True))
    assert len(found) == 5
    for step, document in zip(steps, found, strict=True):
        vectors = {name: document.pop(name) for name in ("state", "action", "policy_action")}
        assert document == {
            "_id": timestep_id(EPISODE, step.step),
            "run": "walk",
            "episode": EPISODE,
            "step": step.step,
            "decision": step.decision,
            "reward": step.reward,
            "terminated": step.terminated,
            "truncated": step.truncated,
            "policy_version": 12,
            "time": NOON,
        }
        assert all(isinstance(document[name], bson.Int64) for name in ("_id", "episode", "step", "policy_version"))
        for name, values in (("state", step.state), ("action", step.excitation), ("policy_action", step.policy_action)):
            assert vectors[name].subtype == 9
            assert vectors[name].as_vector().dtype == BinaryVectorDtype.FLOAT32
            assert vectors[name].as_vector().data == values.tolist()


def test_encoding_again_with_the_reference_encoder_gives_the_same_bytes() -> None:
    for document in [*documents(TimestepCodec("walk", 3, 2).blank(2)), _encoded(sample_episode(2, 0))]:
        assert bson.encode(bson.decode(document)) == document


def test_every_float32_comes_back_bit_for_bit() -> None:
    codec = TimestepCodec("walk", 6, 1)
    odd = np.array([1e-45, -0.0, 3.4028235e38, np.pi, -1e-30, 1 / 3], np.float32)
    step = TimeStep(1, odd, np.ones(1, np.float32), -np.ones(1, np.float32), True, 0.1 + 0.2, False, True)
    rows = codec.read(_encoded([step], codec))
    assert rows["state"].tobytes() == odd.tobytes()
    assert rows["reward"].tolist() == [0.1 + 0.2]
    assert rows["truncated"].tolist() == [True]


def test_run_names_outside_ascii_keep_the_width_right() -> None:
    codec = TimestepCodec("läufer", STATE_SIZE, ACTION_SIZE)
    assert bson.decode(_encoded(sample_episode(1, 0), codec))["run"] == "läufer"


def test_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match="needed a multiple of"):
        TimestepCodec("walk", STATE_SIZE + 1, ACTION_SIZE).read(_encoded(sample_episode(1, 4)))


def test_a_document_of_another_shape_in_the_middle_is_refused() -> None:
    data = _encoded(sample_episode(1, 4))
    other = data.replace(b"reward", b"reword")
    width = len(data) // 5
    with pytest.raises(ValueError, match=r"timestep 2 of 5 .* edited"):
        TimestepCodec("walk", STATE_SIZE, ACTION_SIZE).read(
            data[: 2 * width] + other[2 * width : 3 * width] + data[3 * width :]
        )


def test_every_byte_that_is_no_value_is_looked_at() -> None:
    codec = TimestepCodec("walk", STATE_SIZE, ACTION_SIZE)
    data = _encoded(sample_episode(1, 2), codec)
    values = np.zeros(codec.width, np.bool_)
    fields = codec.dtype.fields
    assert fields is not None
    for kind, offset, *_ in fields.values():
        values[offset : offset + kind.itemsize] = True
    for at in np.flatnonzero(~values).tolist():
        edited = bytearray(data)
        edited[codec.width + at] ^= 1
        with pytest.raises(ValueError, match=r"timestep 1 of 3 .* it was edited"):
            codec.read(bytes(edited))
    assert np.count_nonzero(~values) > len("_id run episode step state action reward")


def test_the_timesteps_of_another_run_are_refused() -> None:
    with pytest.raises(ValueError, match="edited or written by other code"):
        TimestepCodec("fall", STATE_SIZE, ACTION_SIZE).read(_encoded(sample_episode(1, 4)))


def test_no_documents_are_no_rows() -> None:
    assert len(TimestepCodec("walk", STATE_SIZE, ACTION_SIZE).read(b"")) == 0
