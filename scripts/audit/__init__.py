"""The audit: invariants A1 to A10 (design section 6) from what is stored, what was paid, and what clients were told.

It shares no logic with the actors: events are read with the published decoder and folded by books of its own.
"""
