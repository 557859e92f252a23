"""Trainers of styles, segmenters and loss networks."""
