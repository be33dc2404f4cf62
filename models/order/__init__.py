"""The order: the business fact at the heart of Dray."""
