"""A frame and a look become a picture."""
