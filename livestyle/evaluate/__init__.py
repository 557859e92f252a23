"""How good, how steady and how fast the models are."""
