"""Trainers of styles, their predictors, segmenters and loss networks."""
