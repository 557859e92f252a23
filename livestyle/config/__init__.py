"""What is asked for, and where it was said: settings, looks, files, variables."""
