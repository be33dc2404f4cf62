"""The gateway: HTTP in front of the actors. It decides nothing; it checks, seals, addresses and translates."""
