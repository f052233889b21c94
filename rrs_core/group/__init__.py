"""Nearest neighbours and the map of latents."""
