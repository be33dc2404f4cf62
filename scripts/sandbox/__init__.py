"""A Stripe-compatible sandbox server: stateful, strict, durable, with faults on demand.

Start it with `python -m scripts.sandbox`; docs/sandbox.md is its manual. It is a product of its own: any Stripe client
can be pointed at it. Requests run one at a time inside one event loop, so every request is atomic by construction;
a request's changes are collected in a `Work`, written to the log in one piece, applied to memory, and then answered.
"""
