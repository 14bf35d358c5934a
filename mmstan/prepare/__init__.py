"""From a folder or a table of videos to lists, class names and a config: ``mmstan prepare``."""
