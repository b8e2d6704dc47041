"""The gradients of critics and actor, derived by hand: for plain networks on a processor, where torch's graph takes
longer than it needs (decision 0028). For all other networks, and for a compiler, `ActorCritic` leaves them to torch.

Critics: with L the loss of their outputs, dL/dθ is `Run.back` of dL/d outputs, which the head knows.
Actor, with u its drive, a = tanh u and λ the penalty (deterministic policy gradient, Silver et al. 2014, equation 9):

    L = λ mean u² - mean Q(s, a),   dL/du = 2 λ u / size - (1 - a²) d mean Q / da

Levels of an action are passed straight through, as in `binning.py`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from agents.ddpg.binning import binned
from agents.ddpg.heads import Head
from agents.ddpg.losses import actor_loss
from agents.ddpg.on_device import Rows
from agents.ddpg.trained import Trained
from agents.mlp import Mlp
from agents.networks import Actor, Critics


class ByHand:
    """Writes gradients where the networks' steps look for them."""

    def __init__(self, actor: Trained[Actor], critics: Trained[Critics], head: Head) -> None:
        """Raises: TypeError when a network is not plain, or its parameters do not lie side by side."""
        self._actor, self._actor_slots = _plain(actor)
        self._critics, self._critics_slots = _plain(critics)
        self._head = head

    @torch.no_grad()
    def fit(self, rows: Rows, target: Tensor) -> tuple[Tensor, Tensor]:
        """Writes the critics' gradients. Their loss (), and what they put out."""
        run = self._critics.run(rows.observation, rows.action)
        outputs = run.outputs.squeeze(-1)
        loss, gradient = self._head.loss_gradient(outputs, target, rows.weight)
        run.back(gradient.view_as(run.outputs), into=self._critics_slots)
        return loss, outputs

    @torch.no_grad()
    def climb(self, observation: Tensor, *, bins: int | None, penalty: float, all_critics: bool) -> tuple[Tensor, ...]:
        """Writes the actor's gradient. Its loss (), the value () that it climbs, and its actions (B, M)."""
        run = self._actor.run(observation)
        drive = run.outputs
        action = torch.tanh(drive)
        judged = self._critics.run(observation, binned(action, bins), which=None if all_critics else 0)
        value, rise = self._head.value_gradient(judged.outputs.squeeze(-1))
        along = judged.back(rise.view_as(judged.outputs), of=1)
        assert along is not None
        run.back((2 * penalty / drive.numel()) * drive - along * (1 - action * action), into=self._actor_slots)
        return actor_loss(value, drive, penalty), value, action


def _plain(trained: Trained[Actor] | Trained[Critics]) -> tuple[Mlp, list[Tensor]]:
    body, flat = trained.network.body, trained.flat
    if not isinstance(body, Mlp) or flat is None:
        raise TypeError(f"the {trained.name} is a {type(body).__name__}, needed a plain network on a processor")
    return body, flat.slots
