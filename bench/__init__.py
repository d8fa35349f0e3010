"""Benchmarks (`make bench`). Each measures its baseline in the same run and checks the ratio against a target."""
