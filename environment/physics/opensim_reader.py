"""Reads OpenSim's state into one vector, in the order and with the numbers of osim-rl's `compute_state_desc`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from environment.physics.full_layout import BODY_UNITS, full_layout
from environment.physics.start_state import locked_places
from environment.state import StateLayout

# OpenSim's Coordinate::MotionType.
_ROTATIONAL = 1


class StateReader:
    """Holds on to the model's parts, so that reading a state looks nothing up by name."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._joints = _members(model.getJointSet())
        self._bodies = _members(model.getBodySet())
        self._forces = _members(model.getForceSet())
        self._muscles = _members(model.getMuscles())
        muscles = {muscle.getName(): muscle for muscle in self._muscles}
        # A muscle's record is its one actuation, which is read faster by itself.
        self._actuators = [muscles.get(force.getName()) for force in self._forces]
        self._owned = [
            (joint.getName(), joint.get_coordinates(i)) for joint in self._joints for i in range(joint.numCoordinates())
        ]
        self._coordinates = [coordinate for _, coordinate in self._owned]
        if model.getMarkerSet().getSize():
            raise ValueError("this model has markers, which the state does not carry")
        self.layout = self._describe()
        locked = {one.getName(): one.getDefaultValue() for one in self._coordinates if one.getDefaultLocked()}
        self.locked: Mapping[int, float] = locked_places(self.layout, locked)
        """Position in a state -> value of the coordinates that do not move."""

    def read(self, state: Any) -> NDArray[np.float64]:
        """The state (S,) of the moment, realised to accelerations."""
        self._model.realizeAcceleration(state)
        values: list[float] = [coordinate.getValue(state) for coordinate in self._coordinates]
        values += [coordinate.getSpeedValue(state) for coordinate in self._coordinates]
        values += [coordinate.getAccelerationValue(state) for coordinate in self._coordinates]
        values += self._body_values(state)
        for force, muscle in zip(self._forces, self._actuators, strict=True):
            if muscle is not None:
                values.append(muscle.getActuation(state))
            else:
                record = force.getRecordValues(state)
                values += [record.get(i) for i in range(record.size())]
        for muscle in self._muscles:
            values.append(muscle.getActivation(state))
            values.append(muscle.getFiberLength(state))
            values.append(muscle.getFiberVelocity(state))
            values.append(muscle.getFiberForce(state))
        for center in (
            self._model.calcMassCenterPosition(state),
            self._model.calcMassCenterVelocity(state),
            self._model.calcMassCenterAcceleration(state),
        ):
            values += [center.get(i) for i in range(3)]
        return np.array(values)

    def write(self, state: Any, values: NDArray[np.float64]) -> None:
        """Gives OpenSim's state the coordinates, speeds, activations and fibre lengths of the vector (S,) `values`."""
        index = self.layout.index
        for joint, coordinate in self._owned:
            if not coordinate.getDefaultLocked():
                path = coordinate.getAbsolutePathString()
                for branch, leaf in (("joint_pos", "value"), ("joint_vel", "speed")):
                    place = index[f"{branch}/{joint}/{coordinate.getName()}"]
                    self._model.setStateVariableValue(state, f"{path}/{leaf}", float(values[place]))
        for muscle in self._muscles:
            for leaf in ("activation", "fiber_length"):
                place = index[f"muscles/{muscle.getName()}/{leaf}"]
                path = f"{muscle.getAbsolutePathString()}/{leaf}"
                self._model.setStateVariableValue(state, path, float(values[place]))

    def _body_values(self, state: Any) -> list[float]:
        """Six groups over all bodies: position, velocity, acceleration, then the same of the rotation."""
        groups: list[list[float]] = [[] for _ in BODY_UNITS]
        for body in self._bodies:
            transform = body.getTransformInGround(state)
            vectors = (
                transform.p(),
                body.getLinearVelocityInGround(state),
                body.getLinearAccelerationInGround(state),
                transform.R().convertRotationToBodyFixedXYZ(),
                body.getAngularVelocityInGround(state),
                body.getAngularAccelerationInGround(state),
            )
            for group, vector in zip(groups, vectors, strict=True):
                group += vector.to_numpy().tolist()
        return [value for group in groups for value in group]

    def _describe(self) -> StateLayout:
        coordinates = {
            joint.getName(): [joint.get_coordinates(i) for i in range(joint.numCoordinates())] for joint in self._joints
        }
        return full_layout(
            {
                joint: [(one.getName(), one.getMotionType() == _ROTATIONAL) for one in found]
                for joint, found in coordinates.items()
            },
            [body.getName() for body in self._bodies],
            [entry for force in self._forces for entry in _record(force)],
            [muscle.getName() for muscle in self._muscles],
        )


class WeldedReader(StateReader):
    """Reads a model whose locked coordinates were taken out as if they were still there.

    Their numbers, and those of their limit forces, do not change: they are the start pose's, at rest.
    """

    def __init__(self, model: Any, published: StateReader, start: NDArray[np.float64]) -> None:
        """
        Args:
            model: Without its locked coordinates.
            published: Of the model that has them.
            start: (S,) of that model in its start pose.
        """
        super().__init__(model)
        layout = published.layout
        self._places = np.array([layout.index[name] for name in self.layout.names])
        self._constant = start.copy()
        # A constraint leaves some noise in what should be zero.
        for branch in ("joint_vel", "joint_acc"):
            self._constant[layout.where(branch)] = 0.0
        self.layout, self.locked = layout, published.locked

    def read(self, state: Any) -> NDArray[np.float64]:
        values = self._constant.copy()
        values[self._places] = super().read(state)
        return values


def _record(force: Any) -> list[tuple[str, str, str]]:
    """Force, label and unit of its numbers. OpenSim repeats a label for each contact sphere of a body; the repeats are
    numbered."""
    labels = force.getRecordLabels()
    name = force.getName()
    entries: list[tuple[str, str, str]] = []
    seen: dict[str, int] = {}
    for i in range(labels.size()):
        leaf = labels.get(i).removeprefix(f"{name}.")
        seen[leaf] = seen.get(leaf, 0) + 1
        repeat = f"#{seen[leaf]}" if seen[leaf] > 1 else ""
        entries.append((name, f"{leaf}{repeat}", _force_unit(leaf)))
    return entries


def _force_unit(leaf: str) -> str:
    if leaf == "PotentialEnergy":
        return "J"
    # CoordinateLimitForce and SpringGeneralizedForce act on rotations in these models.
    return "N·m" if ".torque." in leaf or "Limit" in leaf or leaf.endswith("Spring_Force") else "N"


def _members(collection: Any) -> list[Any]:
    return [collection.get(i) for i in range(collection.getSize())]
