"""Pixels: types, pure functions on pictures, picture files."""
