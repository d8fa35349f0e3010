"""JSON schemas in the subsets that providers take, and the tool that stands for one where they take none."""
