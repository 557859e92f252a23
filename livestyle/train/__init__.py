"""Trainers of styles, their predictors, segmenters and loss networks; fine-tuning while a style is worn."""
