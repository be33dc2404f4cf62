"""The endpoints, by topic. Each module declares `routes`; `gateway.app` serves them all."""
