"""A stored policy without torch: this one file and numpy are enough to act with what `export-policy` wrote.

    policy = NumpyPolicy.load("policy.npz")
    action = policy(observation)            # (O,) -> (M,) in [-1, 1]; an excitation is (action + 1) / 2
    policy.contract                         # what it sees and moves, e.g. its muscles in order

The action is before binning (`contract["bins"]` levels of excitation, if not None), and is held for
`contract["frame_skip"]` control steps of 10 ms.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
FORMAT = "policy/1"
METADATA = "metadata"
"""Name of the array in the file that holds JSON, as UTF-8 bytes."""
_NORM_EPSILON = 1e-5
"""Of layer normalisation, added to the variance."""


class NumpyPolicy:
    """normalise -> network -> tanh, as the policy that was trained."""

    def __init__(self, tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> None:
        """Of a stored policy's arrays and metadata.

        Raises: ValueError when they are of another format, or of a network that is not known here.
        """
        if metadata.get("format") != FORMAT:
            raise ValueError(f"the format is {metadata.get('format')!r}, needed {FORMAT!r}; is this a policy?")
        self.contract: dict[str, Any] = dict(metadata["contract"])
        network = metadata.get("network", "mlp")
        if network not in ("mlp", "residual"):
            raise ValueError(f"the network is {network!r}, needed mlp or residual; was it stored by newer code?")
        self._arrays = {name: np.asarray(array, np.float32) for name, array in tensors.items()}
        self._forward = self._mlp if network == "mlp" else self._residual
        self._depth = len(metadata["hidden"])
        self._clip = float(metadata["clip"])

    @staticmethod
    def load(path: str | Path) -> NumpyPolicy:
        """A `.npz` of `export-policy`. Raises: ValueError when it holds no policy."""
        with np.load(path, allow_pickle=False) as stored:
            if METADATA not in stored:
                raise ValueError(f"{path} has no array {METADATA!r}; was it written by export-policy?")
            metadata = json.loads(stored[METADATA].tobytes())
            return NumpyPolicy({name: stored[name] for name in stored.files if name != METADATA}, metadata)

    def check(self, **needed: Any) -> None:
        """Compares the contract with what acts here, e.g. `check(layout_sha256=…, frame_skip=4, bins=None)`.

        Raises: ValueError naming every difference.
        """
        differences = [
            f"{name} is {self.contract.get(name)!r}, needed {value!r}"
            for name, value in needed.items()
            if self.contract.get(name) != (list(value) if isinstance(value, tuple) else value)
        ]
        if differences:
            raise ValueError("this policy may not act here: " + "; ".join(differences))

    def __call__(self, observation: Float32) -> Float32:
        """(O,) -> (M,), or (B, O) -> (B, M); float32 in [-1, 1]. The observation comes as it is, not normalised.

        Raises: ValueError for another width; FloatingPointError for numbers that are not finite.
        """
        if observation.shape[-1] != self.contract["observation_size"]:
            raise ValueError(f"observation has shape {observation.shape}, needed {self.contract['observation_size']}")
        if not np.isfinite(observation).all():
            raise FloatingPointError("the observation is not finite; a diverged simulation?")
        mean, scale = self._arrays["normaliser/mean"], self._arrays["normaliser/scale"]
        inputs = np.clip((observation.astype(np.float32) - mean) * scale, -self._clip, self._clip)
        action: Float32 = np.tanh(self._forward(inputs))
        return action

    def _mlp(self, inputs: Float32) -> Float32:
        for number in range(self._depth):
            inputs = np.maximum(self._linear(f"hidden.{number}", inputs), 0)
        return self._linear("final", inputs)

    def _residual(self, inputs: Float32) -> Float32:
        inputs = self._linear("embedding", inputs)
        for number in range(self._depth):
            inner = self._linear(f"blocks.{number}.up", self._norm(f"blocks.{number}.norm", inputs))
            inputs = inputs + self._linear(f"blocks.{number}.down", np.maximum(inner, 0))
        return self._linear("final", self._norm("norm", inputs))

    def _linear(self, layer: str, inputs: Float32) -> Float32:
        outputs: Float32 = inputs @ self._arrays[f"actor/body.{layer}.weight"].T
        return outputs + self._arrays[f"actor/body.{layer}.bias"]

    def _norm(self, layer: str, inputs: Float32) -> Float32:
        centred = inputs - inputs.mean(axis=-1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + np.float32(_NORM_EPSILON))
        gain, shift = self._arrays[f"actor/body.{layer}.weight"], self._arrays[f"actor/body.{layer}.bias"]
        outputs: Float32 = centred / deviation * gain + shift
        return outputs
