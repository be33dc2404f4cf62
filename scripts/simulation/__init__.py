"""A whole Dray in one thread, on virtual time, with every kind of bad luck drawn from one seed (docs/simulation.md)."""
