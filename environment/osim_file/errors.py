"""What can be wrong with a model file."""


class UnsupportedModel(ValueError):
    """The file holds a component or an option that only OpenSim itself can simulate."""


class DamagedModel(ValueError):
    """The file is no sound model file: OpenSim could not simulate it, or not as it is meant."""
