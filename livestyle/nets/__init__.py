"""Networks: architectures, export, losses, cards, downloads, inference engines."""
