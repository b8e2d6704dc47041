"""A published policy as a file for elsewhere: safetensors, ONNX, or arrays for `numpy_policy.py`."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from agents.checkpoints.contract import Blob
from agents.normalisation import Normaliser
from agents.numpy_policy import METADATA, NumpyPolicy
from agents.policy import Policy, PolicyContract
from agents.policy_file import PROVENANCE, VERSION, policy_bytes, policy_from

_TOLERANCE = 1e-5
_CHECKED_ROWS = 64
_INPUT, _OUTPUT = "observation", "action"


class ExportFailed(RuntimeError):
    """The exported file would not act as the policy does, or can not be written here. Nothing was written."""


class _Acts(nn.Module):
    """The actor behind its normaliser."""

    def __init__(self, actor: nn.Module, normaliser: Normaliser) -> None:
        super().__init__()
        self.actor, self.clip = actor, normaliser.clip
        self.mean = nn.Parameter(torch.tensor(normaliser.mean), requires_grad=False)
        self.scale = nn.Parameter(torch.tensor(normaliser.scale), requires_grad=False)

    def forward(self, observation: Tensor) -> Tensor:
        normalised = ((observation - self.mean) * self.scale).clamp(-self.clip, self.clip)
        action: Tensor = self.actor(normalised)
        return action


def export_policy(
    blob: Blob,
    version: int,
    needed: PolicyContract,
    form: str,
    path: Path,
    provenance: Mapping[str, Any] | None = None,
) -> None:
    """Writes a `policy` part in one of `FORMS`, after comparing it with the policy itself on random observations.

    Args:
        provenance: How it was made, as JSON; every form carries it as metadata.

    Raises: PolicyMismatch when the policy is of another run or code; ExportFailed.
    """
    policy = Policy.from_blob(blob, version=version)
    policy.check(needed)
    data = FORMS[form](policy, provenance or {})
    path.write_bytes(data)


def safetensors_bytes(policy: Policy, provenance: Mapping[str, Any]) -> bytes:
    """For `agents.policy_file.read_policy`: the policy as the store keeps it, to the bit."""
    data = policy_bytes(policy, provenance)
    _compare(policy, policy_from(data, "the exported file")[0], "safetensors")
    return data


def npz_bytes(policy: Policy, provenance: Mapping[str, Any]) -> bytes:
    """For `NumpyPolicy.load`. Raw observation in, action out."""
    blob = policy.to_blob()
    metadata = dict(blob.metadata) | {VERSION: policy.version, PROVENANCE: dict(provenance)}
    _compare(policy, NumpyPolicy(blob.tensors, metadata), "numpy")
    text = np.frombuffer(json.dumps(metadata).encode(), np.uint8)
    staged = io.BytesIO()
    np.savez(staged, allow_pickle=False, **{METADATA: text}, **blob.tensors)
    return staged.getvalue()


def onnx_bytes(policy: Policy, provenance: Mapping[str, Any]) -> bytes:
    """Input `observation` (B, O), not normalised; output `action` (B, M); the contract as metadata `contract`."""
    try:
        onnx, onnxruntime = import_module("onnx"), import_module("onnxruntime")
        import_module("onnxscript")  # torch.onnx writes with it
    except ImportError as error:
        raise ExportFailed(
            f"ONNX is written with packages that are missing here ({error}); install them by "
            "`.venv/bin/pipenv install --skip-lock --dev`, or use --format numpy"
        ) from error
    module = _Acts(policy.actor.cpu(), policy.normaliser).eval()
    rows = torch.export.Dim("rows", min=1)
    example = torch.zeros(2, policy.contract.observation_size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the exporter warns of torch's own code
        program = torch.onnx.export(
            module,
            (example,),
            input_names=[_INPUT],
            output_names=[_OUTPUT],
            dynamic_shapes=({0: rows},),
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    facts = dict(policy.to_blob().metadata) | {VERSION: policy.version, PROVENANCE: dict(provenance)}
    onnx.helper.set_model_props(model, {name: json.dumps(value) for name, value in facts.items()})
    onnx.checker.check_model(model)
    data = bytes(model.SerializeToString())
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    _compare(policy, lambda rows: session.run([_OUTPUT], {_INPUT: rows})[0], "ONNX")
    return data


FORMS: Mapping[str, Callable[[Policy, Mapping[str, Any]], bytes]] = {
    "safetensors": safetensors_bytes,
    "onnx": onnx_bytes,
    "numpy": npz_bytes,
}
"""By the name of the format."""


def _compare(policy: Policy, exported: Callable[[Any], Any], form: str) -> None:
    """Raises: ExportFailed."""
    spread = 1.0 / np.where(policy.normaliser.scale > 0, policy.normaliser.scale, 1.0)
    random = np.random.default_rng(0).standard_normal((_CHECKED_ROWS, len(spread)))
    rows = (policy.normaliser.mean + spread * random).astype(np.float32)
    worst = float(np.abs(policy(rows) - exported(rows)).max())
    if not worst <= _TOLERANCE:
        raise ExportFailed(f"the {form} policy is off by {worst:.2g}, needed at most {_TOLERANCE:g}; not written")
