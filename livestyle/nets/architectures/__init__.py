"""The architectures, as PyTorch modules."""
