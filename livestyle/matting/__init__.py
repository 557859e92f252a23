"""An image becomes the person's matte."""
