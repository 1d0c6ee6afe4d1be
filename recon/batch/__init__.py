"""Many videos: one process for each, as many at once as cores and memory carry.

A worker that dies takes only its own video with it, and of that no finished stage.
"""
