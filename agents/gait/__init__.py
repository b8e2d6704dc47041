"""How a walker walks, read off the states it went through: steps, symmetry, forces, effort, muscles."""
