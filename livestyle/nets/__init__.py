"""Torch modules only: the transform net, the segmenter, the loss network. Importing this imports torch."""
