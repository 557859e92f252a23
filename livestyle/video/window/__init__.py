"""The preview window: toolkits, and what is drawn over the picture."""
