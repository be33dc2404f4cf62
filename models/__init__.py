"""The business, pure: facts, decisions and arithmetic. Imports the standard library and pydantic only."""
