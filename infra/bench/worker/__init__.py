"""What one worker process stores, by the number of bodies that it moves."""
