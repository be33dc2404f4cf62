"""The orchestrator: the saga that carries one order from step to step."""
