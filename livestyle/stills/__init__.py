"""Finished pictures: feed-forward, by optimization (Gatys), and painted into a painting."""
