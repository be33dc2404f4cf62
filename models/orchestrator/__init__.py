"""The orchestrator: the saga that carries one order from step to step.

Read it in this order: `tables` (steps and phases), `messages`, `state`, then `plan` (from the order's facts to what has
to be under way), `decide` (journal it, send it, send it again), `answers` (what comes back), `outgoing` (an intent as
what leaves for it).
"""
