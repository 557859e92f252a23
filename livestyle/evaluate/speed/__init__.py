"""How fast: whole runs, single networks, the limits of the machine."""
