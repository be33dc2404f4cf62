"""`dray demo`: a small shop, one order for every way in which an order can end, and a check that each ended so."""
