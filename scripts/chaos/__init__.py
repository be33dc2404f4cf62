"""Chaos: real processes are killed and paused while a load test runs; then the audit."""
