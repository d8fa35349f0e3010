"""Metrics: which there are (`declared`), what this process counts (`recorder`), and a host's sum (`processes`)."""
