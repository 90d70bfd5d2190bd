"""Speed as ratios in one run, and latency under an open load: `python -m benchmarks.suite --help`, `make bench`."""
