"""Traces of batches for OpenTelemetry: spans (`spans`), and their way to an exporter (`export`)."""
