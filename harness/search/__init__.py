"""Searches over events: the shortest that still shows something."""
