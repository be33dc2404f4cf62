"""The actor runtime: mailboxes, turns, commits, routing and ownership. Knows no vendor; `ports` says what it needs."""
