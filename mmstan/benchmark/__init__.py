"""Cost, learning on the toy, pipelines, tables: the library behind tools/benchmark.py."""
