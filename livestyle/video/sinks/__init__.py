"""Where pictures go: window, virtual camera, file."""
