"""What acts: an actor network with its frozen normaliser and the contract that says where it may act."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from agents.checkpoints.contract import Blob
from agents.networks import Actor, arrays_of, load_arrays
from agents.normalisation import Normaliser

Float32 = NDArray[np.float32]
FORMAT = "policy/1"
_EXPLORER = "explorer"

_LIKELY_CAUSE = {
    "layout_sha256": "the states have other numbers or another order: another model file or physics?",
    "observation": "another observation, or another version of it?",
    "observation_size": "another model, or another observation?",
    "action_size": "another muscle set?",
    "frame_skip": "the run's frame skip was changed?",
    "bins": "the run's action bins were changed?",
    "action_names": "another muscle set, or another order?",
    "task": "a checkpoint of another run?",
    "clock": "another motion that is imitated, or another state of its file?",
}


class PolicyMismatch(ValueError):
    """A policy was asked to act where it was not trained to. It did not act."""


@dataclass(frozen=True, kw_only=True)
class PolicyContract:
    """What a policy sees and moves: it may act only where all of this agrees."""

    layout_sha256: str
    """Of the state layout its observations are computed from."""
    observation: str
    """Name and version, e.g. `compact/1`."""
    observation_size: int
    action_size: int
    frame_skip: int | tuple[int, int]
    """Control steps an action is held: fixed, or drawn between two numbers, both included."""
    bins: int | None
    """Levels an excitation can take; None: continuous."""
    action_names: tuple[str, ...]
    """(M,) muscle names in order."""
    task: str
    clock: tuple[float, float] | None = None
    """Of the motion that it imitates: seconds of its cycle, and its phase at a start in the default pose. None: it sees
    no phase."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "action_names", tuple(self.action_names))
        if self.clock is not None:
            period_s, phase = self.clock
            object.__setattr__(self, "clock", (float(period_s), float(phase)))
        if not isinstance(self.frame_skip, int):
            low, high = self.frame_skip
            object.__setattr__(self, "frame_skip", (int(low), int(high)))
        low, high = self.frame_skip if isinstance(self.frame_skip, tuple) else (self.frame_skip, self.frame_skip)
        if not 1 <= low <= high:
            raise ValueError(f"frame_skip is {self.frame_skip}, needed at least 1 control step, lower end first")
        if self.observation_size < 1 or self.action_size < 1:
            raise ValueError(f"sizes are {self.observation_size} and {self.action_size}, needed at least 1")
        if len(self.action_names) != self.action_size:
            raise ValueError(f"{len(self.action_names)} action names for {self.action_size} actions; needed one each")
        if self.bins is not None and self.bins < 2:
            raise ValueError(f"bins is {self.bins}, needed at least 2 levels, or None for continuous actions")

    def check(self, needed: PolicyContract, *, ignore: Collection[str] = ()) -> None:
        """Raises: PolicyMismatch naming every field that differs, what was found, what is needed and why it may be."""
        differences = [
            f"{field.name} is {getattr(self, field.name)!r}, needed {getattr(needed, field.name)!r} "
            f"({_LIKELY_CAUSE[field.name]})"
            for field in dataclasses.fields(self)
            if field.name not in ignore and getattr(self, field.name) != getattr(needed, field.name)
        ]
        if differences:
            raise PolicyMismatch("this policy may not act here: " + "; ".join(differences))


class ActingPolicy(Protocol):
    """What an actor needs of a policy."""

    @property
    def version(self) -> int:
        """Number of the checkpoint; 0 is the random policy before the first one."""

    def __call__(self, observation: Float32) -> Float32:
        """(O,) not normalised -> action (M,) float32 in [-1, 1], before exploration and binning. (B, O) -> (B, M)."""

    def check(self, needed: PolicyContract, *, ignore: Collection[str] = ()) -> None:
        """Raises: PolicyMismatch."""


class Policy:
    """A trained actor at one moment; later updates of the learner do not change it."""

    def __init__(
        self,
        actor: Actor,
        normaliser: Normaliser,
        contract: PolicyContract,
        *,
        version: int,
        device: str | torch.device = "cpu",
        mean: Policy | None = None,
    ) -> None:
        """Copies the actor's weights. `mean`: the running mean of this one, where it is that which is published.

        Raises: ValueError for sizes that do not fit the contract; FloatingPointError for weights that are not finite.
        """
        found = (actor.observation_size, len(normaliser.mean), actor.action_size)
        needed = (contract.observation_size, contract.observation_size, contract.action_size)
        if found != needed:
            raise ValueError(f"actor inputs, normaliser, actor outputs have sizes {found}, the contract needs {needed}")
        self.contract, self.normaliser, self.version, self.mean = contract, normaliser, version, mean
        self.device = torch.device(device)
        self._actor = copy.deepcopy(actor).requires_grad_(False).to(self.device)
        for name, value in self._actor.named_parameters():
            if not torch.isfinite(value).all():
                raise FloatingPointError(
                    f"policy weights {name} are not finite: training diverged; go back to an earlier checkpoint"
                )

    def __call__(self, observation: Float32) -> Float32:
        """(O,) -> (M,), or (B, O) -> (B, M); float32 in [-1, 1].

        Raises: ValueError for another width; FloatingPointError when the observation or the action is not finite.
        """
        if observation.shape[-1] != self.contract.observation_size:
            raise ValueError(
                f"observation has shape {observation.shape}, the policy needs ({self.contract.observation_size},); "
                "was it trained on another observation?"
            )
        # Looked at before clipping, which would turn an infinity into an ordinary large number.
        if not np.isfinite(observation).all():
            bad = np.flatnonzero(~np.isfinite(observation.reshape(-1, observation.shape[-1])).all(axis=0))
            raise FloatingPointError(
                f"observation features {bad[:8].tolist()} are not finite, needed finite numbers; a diverged simulation?"
            )
        with torch.inference_mode():
            inputs = torch.from_numpy(self.normaliser(observation)).to(self.device)
            action: Float32 = self._actor(inputs).cpu().numpy()
        if not np.isfinite(action).all():
            raise FloatingPointError(
                f"policy version {self.version} answered a finite observation with a non-finite action; "
                "its weights overflow: training diverged, go back to an earlier checkpoint"
            )
        return action

    @property
    def actor(self) -> Actor:
        """The network that acts, for exploration that needs more of it than its actions. Not to be changed."""
        return self._actor

    def features(self, observation: Float32) -> Float32:
        """(O,) not normalised -> (H,) float32: what the network's final layer sees."""
        with torch.inference_mode():
            inputs = torch.from_numpy(self.normaliser(observation)).to(self.device)
            features: Float32 = self._actor.body.features(inputs).cpu().numpy()
        return features

    def check(self, needed: PolicyContract, *, ignore: Collection[str] = ()) -> None:
        """Refuses to act under another contract. Raises: PolicyMismatch."""
        self.contract.check(needed, ignore=ignore)

    def to_blob(self, explorer: Policy | None = None) -> Blob:
        """Weights, normaliser and contract, without the version: the checkpoint store gives that.

        `explorer`: whose weights explore in its place, all else being the same.
        """
        tensors = arrays_of(self._actor, "actor")
        if explorer is not None:
            tensors |= arrays_of(explorer.actor, _EXPLORER)
        tensors["normaliser/mean"] = self.normaliser.mean.copy()
        tensors["normaliser/scale"] = self.normaliser.scale.copy()
        metadata = {
            "format": FORMAT,
            "contract": _plain(dataclasses.asdict(self.contract)),
            "hidden": list(self._actor.hidden),
            "network": self._actor.network,
            "clip": self.normaliser.clip,
        }
        return Blob(tensors, metadata)

    @staticmethod
    def from_blob(blob: Blob, *, version: int, device: str | torch.device = "cpu", explores: bool = False) -> Policy:
        """`explores`: the one that explores in its place, where there is such; it is its `mean` then.

        Raises: ValueError when the blob is no policy, or one of another format.
        """
        found = blob.metadata.get("format")
        if found != FORMAT:
            raise ValueError(f"the blob's format is {found!r}, needed {FORMAT!r}; a learner's part, or newer code's?")
        try:
            contract = PolicyContract(**blob.metadata["contract"])
            # Policies stored before there was a choice name no network.
            network = blob.metadata.get("network", "mlp")
            actor = Actor(contract.observation_size, contract.action_size, blob.metadata["hidden"], network=network)
            load_arrays(actor, blob.tensors, "actor")
            mean, scale = (np.array(blob.tensors[f"normaliser/{name}"], dtype=np.float32) for name in ("mean", "scale"))
            normaliser = Normaliser(mean, scale, float(blob.metadata["clip"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"the blob says {FORMAT} but lacks or adds a part: {error}; was it edited?") from error
        policy = Policy(actor, normaliser, contract, version=version, device=device)
        if not explores or not any(name.startswith(f"{_EXPLORER}/") for name in blob.tensors):
            return policy
        load_arrays(actor, blob.tensors, _EXPLORER)
        return Policy(actor, normaliser, contract, version=version, device=device, mean=policy)


class RandomPolicy:
    """Uniform actions in [-1, 1]: version 0, what acts before the first checkpoint."""

    version = 0

    def __init__(self, contract: PolicyContract, generator: np.random.Generator) -> None:
        self.contract, self._generator = contract, generator

    def __call__(self, observation: Float32) -> Float32:
        """(O,) -> (M,), or (B, O) -> (B, M); float32 in [-1, 1]. What the observation says does not matter."""
        size = (*observation.shape[:-1], self.contract.action_size)
        return self._generator.uniform(-1.0, 1.0, size).astype(np.float32)

    def check(self, needed: PolicyContract, *, ignore: Collection[str] = ()) -> None:
        """Raises: PolicyMismatch."""
        self.contract.check(needed, ignore=ignore)


def _plain(value: Any) -> Any:
    """As JSON gives it back: tuples become lists."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return list(value) if isinstance(value, tuple) else value
