"""A fleet on paper: the engine's own gates, shares and schedulers on a simulated clock, beside a model of the rest."""
