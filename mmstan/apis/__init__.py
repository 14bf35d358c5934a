"""Load a model and use it: test, retrieve, draw."""
