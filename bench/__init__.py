"""Benchmarks: `make bench`. Each measures its baseline or limit in the same run and judges the ratio."""
