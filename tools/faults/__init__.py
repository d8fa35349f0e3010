"""Planted faults: mistakes that a person could make, each with the tests that must catch it.

The faults are data, in `planted/*.toml`. `python -m tools.faults` plants them one at a time in a copy of the tree and
runs their tests there. See `catalogue.py` for what a fault says of itself, and `trial.py` for what counts as caught.
"""
