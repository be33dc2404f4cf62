"""The dray command and what it starts."""
