"""What every request body has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Body(BaseModel):
    """Unknown fields are refused, and nothing is coerced."""

    model_config = ConfigDict(extra="forbid", strict=True)
