"""Other buffers, filled with as many numbers per transition as ours, to be measured in turns with it."""
