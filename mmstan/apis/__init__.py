"""Load a model and use it."""
