"""The state of the store in a few numbers, for metrics. Each query looks at a bounded number of rows."""
