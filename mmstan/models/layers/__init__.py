"""Neutral building blocks: attention, tiles, time tables, blocks over frames."""
