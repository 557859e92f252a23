"""How good, how stable over time and how fast the models are."""
