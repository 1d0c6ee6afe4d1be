"""Animatable Gaussians of a person, bound to the surface of a skinned body."""
