"""A running session: driver, guard, controls, actions, remote control."""
