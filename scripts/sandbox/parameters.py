"""Request parameters: Stripe's form encoding with nested brackets, and the strict validation of what it carries.

A `Spec` names every parameter an endpoint takes; anything else is refused as Stripe refuses it (`parameter_unknown`).
Validation failures happen before anything executes, so they never occupy an idempotency key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from scripts.sandbox import currencies
from scripts.sandbox.errors import StripeError, refused

PARAMETERS_MAX = 1000
TEXT_MAX_CHARACTERS = 5000
METADATA_KEYS_MAX = 50
METADATA_KEY_MAX_CHARACTERS = 40
METADATA_VALUE_MAX_CHARACTERS = 500
_INTEGER = re.compile(r"-?\d{1,18}\Z")

Raw = Any  # str, or a dict of Raw
Parse = Callable[[Raw, str], Any]
Params = dict[str, Any]


def decode(form: bytes) -> dict[str, Raw]:
    """Decode `a[b]=1&c[]=2&d[0][e]=3` into nested dictionaries; list elements are keyed by their position.

    Raises StripeError (400) if it is not well-formed UTF-8 form data.
    """
    params: dict[str, Raw] = {}
    if not form:
        return params
    try:
        pairs = form.decode("ascii").split("&")
        if len(pairs) > PARAMETERS_MAX:
            raise ValueError(f"more than {PARAMETERS_MAX} parameters")
        for pair in pairs:  # urllib's parse_qsl takes four times as long
            name, separator, value = pair.partition("=")
            if not separator:
                raise ValueError("a name without a value")
            if "[" in name or "%5B" in name or "%5b" in name:
                _nest(params, _unquoted(name), _unquoted(value))
            else:
                params[_unquoted(name)] = _unquoted(value)
    except ValueError:
        raise refused(
            "Invalid request (check that your POST content type is application/x-www-form-urlencoded). If you have "
            "any questions, we can help at https://support.stripe.com/."
        ) from None
    return params


def _unquoted(text: str) -> str:
    if "+" in text:
        text = text.replace("+", " ")
    return unquote(text, errors="strict") if "%" in text else text


def _nest(params: dict[str, Raw], name: str, value: str) -> None:
    head, _, rest = name.partition("[")
    if not rest.endswith("]") or not head:
        raise refused(f"Invalid parameter name: {name}", param=name)
    keys = rest[:-1].split("][")
    place = params
    for key in [head, *keys[:-1]]:
        inner = place.setdefault(key, {})
        if not isinstance(inner, dict):
            raise refused(f"Invalid {head}: it is given both as a value and as a hash", param=head)
        place = inner
    last = keys[-1] or str(len(place))
    place[last] = value


class Spec:
    """The parameters of one endpoint: name -> parser, and which of them are required."""

    def __init__(self, required: str = "", unsupported: str = "", **parsers: Parse) -> None:
        self.parsers = parsers
        self.required = tuple(required.split())
        self.unsupported = frozenset(unsupported.split())

    def names(self) -> frozenset[str]:
        """All accepted parameters, `expand` included."""
        return frozenset((*self.parsers, "expand"))

    def parse(self, raw: Mapping[str, Raw]) -> Params:
        """Return the parsed parameters that were given. Raises StripeError (400) for anything unknown, missing or
        malformed."""
        params: Params = {}
        parsers = self.parsers
        unknown: list[str] = []
        for name, value in raw.items():
            parser = parsers.get(name)
            if parser is not None:
                params[name] = parser(value, name)
            elif name == "expand":
                params["expand"] = expansions(value)
            else:
                unknown.append(name)
        if unknown:
            raise self._unknown(unknown)
        for name in self.required:
            if name not in params:
                raise refused(f"Missing required param: {name}.", param=name, code="parameter_missing")
        return params

    def _unknown(self, names: list[str]) -> StripeError:
        known = [name for name in names if name in self.unsupported]
        if known:
            message = f"The parameter {known[0]} exists at Stripe, but this sandbox does not support it."
            return refused(message, param=known[0], code="parameter_unknown")
        plural = "s" if len(names) > 1 else ""
        message = f"Received unknown parameter{plural}: {', '.join(names)}"
        return refused(message, param=names[0], code="parameter_unknown")


def expansions(value: Raw) -> list[str]:
    """`expand[]`: a list of dotted paths, at most four levels deep."""
    if not isinstance(value, dict) or not all(isinstance(path, str) for path in value.values()):
        raise refused("Invalid array", param="expand")
    paths = list(value.values())
    for path in paths:
        if path.count(".") > 3:
            raise refused(f"You cannot expand more than 4 levels of a property. Property: {path}", param="expand")
    return paths


def _text_of(value: Raw, name: str) -> str:
    if not isinstance(value, str):
        raise refused(f"Invalid string: {value}", param=name)
    if len(value) > TEXT_MAX_CHARACTERS:
        raise refused(
            f"Invalid {name}: must be at most {TEXT_MAX_CHARACTERS} characters", param=name,
            code="parameter_invalid_string_empty" if not value else None,
        )  # fmt: skip
    return value


def _not_empty(value: Raw, name: str) -> str:
    text = _text_of(value, name)
    if text == "":
        raise refused(
            f"You passed an empty string for '{name}'. We assume empty values are an attempt to unset a parameter; "
            f"however '{name}' cannot be unset. You should remove '{name}' from your request or supply a non-empty "
            "value.",
            param=name,
            code="parameter_invalid_empty",
        )
    return text


def text(value: Raw, name: str) -> str:
    """A string that is not empty."""
    return _not_empty(value, name)


def unsettable_text(value: Raw, name: str) -> str | None:
    """A string; the empty string unsets the field."""
    return _text_of(value, name) or None


def integer(minimum: int | None = None, maximum: int | None = None) -> Parse:
    """A whole number within bounds."""

    def parse(value: Raw, name: str) -> int:
        given = _not_empty(value, name)
        if not _INTEGER.match(given):
            raise refused(f"Invalid integer: {given}", param=name, code="parameter_invalid_integer")
        number = int(given)
        if minimum is not None and number < minimum:
            message = f"This value must be greater than or equal to {minimum}."
            raise refused(message, param=name, code="parameter_invalid_integer")
        if maximum is not None and number > maximum:
            message = f"This value must be less than or equal to {maximum}."
            raise refused(message, param=name, code="parameter_invalid_integer")
        return number

    return parse


def amount(value: Raw, name: str) -> int:
    """A positive amount in minor units, of at most eight digits as card networks allow."""
    number: int = integer()(value, name)
    if number < 1:
        raise refused("Invalid positive integer", param=name, code="parameter_invalid_integer")
    if number > currencies.MAXIMUM:
        message = f"Amount must be no more than {currencies.MAXIMUM} in the currency's minor unit"
        raise refused(message, param=name, code="amount_too_large")
    return number


def boolean(value: Raw, name: str) -> bool:
    """`true` or `false`."""
    given = _not_empty(value, name)
    if given not in ("true", "false"):
        raise refused(f"Invalid boolean: {given}", param=name)
    return given == "true"


def choice(*allowed: str, unset: bool = False) -> Parse:
    """One of `allowed`; with `unset` the empty string means None."""

    def parse(value: Raw, name: str) -> str | None:
        given = _text_of(value, name)
        if given == "" and unset:
            return None
        if given not in allowed:
            listed = ", ".join(allowed[:-1]) + f", or {allowed[-1]}" if len(allowed) > 1 else allowed[0]
            raise refused(f"Invalid {name}: must be one of {listed}", param=name)
        return given

    return parse


def currency(value: Raw, name: str) -> str:
    """A supported currency, in lower case (Stripe takes either case)."""
    given = _not_empty(value, name).lower()
    if given not in currencies.SUPPORTED:
        supported = ", ".join(sorted(currencies.SUPPORTED))
        raise refused(f"Invalid currency: {given}. Stripe currently supports these currencies: {supported}", param=name)
    return given


def metadata(value: Raw, name: str) -> dict[str, str] | None:
    """Keys and values; None when the whole of it is unset by an empty string. A value "" unsets its key."""
    if value == "":
        return None
    if not isinstance(value, dict):
        raise refused(f"Invalid {name}: must be a hash of keys and values", param=name)
    if len(value) > METADATA_KEYS_MAX:
        raise refused(f"Metadata can have up to {METADATA_KEYS_MAX} keys", param=name)
    for key, entry in value.items():
        if not isinstance(entry, str) or len(entry) > METADATA_VALUE_MAX_CHARACTERS:
            message = f"Metadata values must be strings of up to {METADATA_VALUE_MAX_CHARACTERS} characters"
            raise refused(message, param=f"{name}[{key}]")
        if len(key) > METADATA_KEY_MAX_CHARACTERS:
            message = f"Metadata keys can be up to {METADATA_KEY_MAX_CHARACTERS} characters long"
            raise refused(message, param=f"{name}[{key}]")
    return value


def merged(old: dict[str, str], new: dict[str, str] | None) -> dict[str, str]:
    """Metadata after an update: keys are added or replaced, keys given as "" are removed, None clears all."""
    if new is None:
        return {}
    return {key: value for key, value in {**old, **new}.items() if value != ""}


def texts(*allowed: str, most: int = 100, unset: bool = False) -> Parse:
    """A list of strings, each one of `allowed` if that is given."""

    def parse(value: Raw, name: str) -> tuple[str, ...] | None:
        if value == "" and unset:
            return None
        if not isinstance(value, dict):
            raise refused("Invalid array", param=name)
        given = tuple(_not_empty(element, f"{name}[{place}]") for place, element in value.items())
        if len(given) > most:
            raise refused(f"Invalid {name}: at most {most} are allowed", param=name)
        for element in given:
            if allowed and element not in allowed:
                raise refused(f"Invalid {name}[0]: must be one of {', '.join(allowed)}", param=name)
        return given

    return parse


class nested:  # noqa: N801 - reads as the other parsers do, which are functions
    """A hash with its own parameters; their names are reported as `outer[inner]`. With `unset`, "" means None."""

    def __init__(self, spec: Spec, unset: bool = False) -> None:
        self.spec = spec
        self.unset = unset

    def __call__(self, value: Raw, name: str) -> Params | None:
        """Parse one value. Raises StripeError."""
        if value == "" and self.unset:
            return None
        if not isinstance(value, dict):
            raise refused("Invalid hash", param=name)
        try:
            return self.spec.parse(value)
        except StripeError as error:
            inner = error.fields.get("param", "")
            head, bracket, rest = inner.partition("[")
            error.fields["param"] = f"{name}[{head}]{bracket}{rest}"
            error.fields["message"] = error.fields["message"].replace(f": {inner}", f": {error.fields['param']}")
            raise


def created(value: Raw, name: str) -> tuple[int, int]:
    """`created=T` or `created[gt|gte|lt|lte]=T`: an inclusive range of Unix seconds."""
    time = integer(0)
    if isinstance(value, str):
        at = time(value, name)
        return at, at
    low, high = 0, 1 << 62
    for operator, given in value.items():
        at = time(given, f"{name}[{operator}]")
        if operator == "gt":
            low = max(low, at + 1)
        elif operator == "gte":
            low = max(low, at)
        elif operator == "lt":
            high = min(high, at - 1)
        elif operator == "lte":
            high = min(high, at)
        else:
            raise refused(f"Received unknown parameter: {name}[{operator}]", param=name, code="parameter_unknown")
    return low, high


def listing(unsupported: str = "", **filters: Parse) -> Spec:
    """The spec of a list endpoint: paging plus its own filters."""
    return Spec("", unsupported, limit=integer(1, 100), starting_after=text, ending_before=text, **filters)


ADDRESS = Spec(
    city=unsettable_text, country=unsettable_text, line1=unsettable_text, line2=unsettable_text,
    postal_code=unsettable_text, state=unsettable_text,
)  # fmt: skip
SHIPPING = Spec(
    required="address name", address=nested(ADDRESS), name=text, carrier=unsettable_text, phone=unsettable_text,
    tracking_number=unsettable_text,
)  # fmt: skip
