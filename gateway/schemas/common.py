"""Types that several schemas share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema

from gateway.limits import GATEWAY_LIMITS
from gateway.problems import PROBLEMS
from models.product import AMOUNT_MAX

QUANTITY_MAX = 10_000


class Shown(BaseModel):
    """The base of answers: they document and are checked in tests; nothing is validated on its way out."""

    model_config = ConfigDict(extra="forbid")


Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", max_length=64)]
"""An id that a tenant chooses: of products, SKUs, suppliers, brands, retailers."""

Text = Annotated[str, StringConstraints(min_length=1, max_length=500)]
LongText = Annotated[str, StringConstraints(min_length=1, max_length=5_000)]
Reason = Annotated[str, StringConstraints(max_length=500)]
Currency = Annotated[str, StringConstraints(pattern=r"^[a-z]{3}$", min_length=3, max_length=3)]
Amount = Annotated[int, Field(ge=0, le=AMOUNT_MAX, description="Minor units of the currency.")]
PositiveAmount = Annotated[int, Field(ge=1, le=AMOUNT_MAX, description="Minor units of the currency.")]
Quantity = Annotated[int, Field(ge=1, le=QUANTITY_MAX)]
BasisPoints = Annotated[int, Field(ge=0, le=10_000)]
StripeAccount = Annotated[str, StringConstraints(pattern=r"^acct_[A-Za-z0-9_]{1,100}$")]
Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
"""RFC 3339, UTC, with milliseconds."""

IdempotencyKey = Annotated[
    str,
    StringConstraints(pattern=r"^[\x21-\x7e]+$", min_length=1, max_length=GATEWAY_LIMITS.idempotency_key_chars_max),
]


class FieldProblem(Shown):
    field: str
    message: str


class ProblemDocument(Shown):
    """RFC 9457, with a stable `code`."""

    type: str
    title: str
    status: int
    code: str = Field(examples=sorted(PROBLEMS))
    detail: str | None = None
    errors: list[FieldProblem] | None = None


def no_nulls(schema: dict[str, Any]) -> None:
    """For optional fields that are left out, never null."""
    for name, field in schema.get("properties", {}).items():
        options = [option for option in field.get("anyOf", ()) if option.get("type") != "null"]
        if field.get("default", 0) is None and len(options) == 1:
            schema["properties"][name] = {
                **{key: value for key, value in field.items() if key not in ("anyOf", "default")},
                **options[0],
            }
