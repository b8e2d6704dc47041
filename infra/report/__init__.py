"""What a run came to: learning curves, scores on seeds that nothing was chosen by, a gait card, a video, a page."""
