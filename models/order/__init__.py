"""The order: what has been decided about one purchase, from placing to the last return.

Read it in this order: `tables` (what may happen), `commands` and `events` (what is asked and what is decided; both are
under one roof in `messages`), `state` and `evolve` (what an order is), then the decisions: `placing`, `fulfilment`,
`refunds`, `aftercare`, all through `decide`. `view` is what readers get.

An order decides facts. What has to be done because of them, is decided by its orchestrator (`models.orchestrator`).
"""
