"""Cameras and virtual cameras as the system shows them."""
