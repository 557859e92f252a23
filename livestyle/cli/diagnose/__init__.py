"""What `livestyle doctor` checks, and the bundle for a bug report."""
