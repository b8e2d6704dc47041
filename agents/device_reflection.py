"""`environment.reflection` of rows on the device that learns."""

from __future__ import annotations

import torch
from torch import Tensor

from agents.replay.reflected import Exchange
from environment.reflection import Reflection


class DeviceExchange:
    """Reflects the first rows of a batch, as many as its share: the rows have to be in no order that means anything."""

    def __init__(self, exchange: Exchange, batch_size: int, device: torch.device) -> None:
        self.rows = exchange.rows(batch_size)
        self._observation = _DeviceReflection(exchange.observation, device)
        self._action = _DeviceReflection(exchange.action, device)

    def __call__(self, columns: dict[str, Tensor]) -> dict[str, Tensor]:
        """The columns of a batch (B, ...), with these rows of observations and actions reflected."""
        seen = dict.fromkeys(("observation", "next_observation"), self._observation)
        changed = {
            name: torch.cat((reflect(columns[name][: self.rows]), columns[name][self.rows :]))
            for name, reflect in (seen | {"action": self._action}).items()
        }
        return columns | changed


class _DeviceReflection:
    def __init__(self, reflection: Reflection, device: torch.device) -> None:
        self._source = torch.from_numpy(reflection.source).to(device)
        self._lead = torch.from_numpy(reflection.lead).to(device)
        self._sign = torch.from_numpy(reflection.sign).to(device)

    def __call__(self, values: Tensor) -> Tensor:
        """(B, N) float32."""
        source, lead = values.index_select(1, self._source), values.index_select(1, self._lead)
        return self._sign * (source + (values - lead))
