"""Training of styles and segmenters, resumable, on one core or a GPU. Importing the submodules imports torch."""
