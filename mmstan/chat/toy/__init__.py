"""The chat on Moving Shapes, to be seen without a download; and a tiny engine."""
