"""Many videos: one process for each, as many at once as cores and memory carry."""
