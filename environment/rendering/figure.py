"""A model as something to draw: its bones, and where everything is at each moment of a motion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from environment.body_model import HalfSpace, HuntCrossleyForce
from environment.osim_file import read_model
from environment.physics.models import model_path
from environment.rendering.bones import Bone, load_bones
from environment.rendering.motion import Motion
from environment.rendering.placement import MusclePaths, Placement, Poses

Array = NDArray[np.float64]

_THINNEST_M, _THICKEST_M = 0.005, 0.013


@dataclass(frozen=True)
class Figure:
    """Everything of a motion that is drawn, ready for all its moments."""

    motion: Motion
    bones: tuple[Bone, ...]
    bodies: tuple[str, ...]
    """(B,) of `poses`."""
    muscles: tuple[str, ...]
    """(M,) of `paths`."""
    radius_m: Array
    """(M,) of the muscles as they are drawn: the stronger, the thicker."""
    ground_m: float
    """Height of the floor."""
    poses: Poses
    paths: MusclePaths
    activation: Array
    """(T+1, M) in [0, 1]"""
    camera_m: Array
    """(T+1, 2) x and z of what a camera follows."""

    @classmethod
    def of(cls, motion: Motion) -> Figure:
        """Reads the model and places all of it.

        Raises: FileNotFoundError when model or meshes are not installed; ValueError when the states are another body's.
        """
        path = model_path(motion.model)
        model = read_model(path)
        placement = Placement(model, motion.layout)
        force = np.array([muscle.max_isometric_force_n for muscle in model.muscles])
        floors = [
            geometry.height_m
            for contact in model.forces
            if isinstance(contact, HuntCrossleyForce)
            for geometry in contact.geometry
            if isinstance(geometry, HalfSpace)
        ]
        return cls(
            motion=motion,
            bones=load_bones(path),
            bodies=placement.bodies,
            muscles=placement.muscles,
            radius_m=_THINNEST_M + (_THICKEST_M - _THINNEST_M) * np.sqrt(force / force.max()),
            ground_m=max(floors, default=0.0),
            poses=placement.poses(motion.states),
            paths=placement.paths(motion.states),
            activation=placement.activations(motion.states),
            camera_m=motion.camera_m(),
        )

    def body_matrix(self, step: int, body: str) -> Array:
        """(4, 4) from a body's frame to ground at a moment."""
        number = self.bodies.index(body)
        matrix = np.eye(4)
        matrix[:3, :3] = self.poses.rotation[step, number]
        matrix[:3, 3] = self.poses.position_m[step, number]
        return matrix
