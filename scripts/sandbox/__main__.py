"""The command line: `scripts/dray sandbox --help`."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from pathlib import Path

from scripts.sandbox.faults import FaultsInvalid, Plan, read_file
from scripts.sandbox.log import LogUnusable
from scripts.sandbox.rate_limits import RateLimitInvalid, RateLimits
from scripts.sandbox.server import Options, serve
from scripts.sandbox.store import Settings

EXAMPLES = """examples:
  scripts/dray sandbox                              a sandbox that forgets everything when it stops
  scripts/dray sandbox --data .sandbox              one that remembers, even after kill -9
  scripts/dray sandbox --port 0 --seed 7 --faults faults.json --rate-limit test

then point any Stripe client at it, with any sk_test_... key:
  StripeClient("sk_test_x", base_addresses={"api": "http://127.0.0.1:12111"})

Everything is kept in memory: about 13 KB for an order of one payment and three transfers, a gigabyte for 80,000."""


def parser() -> argparse.ArgumentParser:
    """The options, each also an environment variable DRAY_SANDBOX_<NAME>."""
    options = argparse.ArgumentParser(
        prog="dray sandbox",
        description="A Stripe-compatible server for tests: stateful, strict, durable, with faults on demand.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = options.add_argument
    add("--host", default=_env("HOST", "127.0.0.1"), help="address to listen on (default %(default)s)")
    add("--port", type=int, default=_env("PORT", "12111"), help="port; 0 picks a free one (default %(default)s)")
    add("--data", type=Path, default=_env("DATA"), metavar="DIR", help="remember everything here (default: forget)")
    add("--fsync", action="store_true", help="survive power cuts too: fsync before every answer")
    add("--seed", default=_env("SEED"), help="ids and faults repeat from it (default: random)")
    add("--faults", type=Path, default=_env("FAULTS"), metavar="FILE", help="JSON fault plan, see docs/sandbox.md")
    add("--rate-limit", default=_env("RATE_LIMIT", "none"), help="none, live (100/s), test (25/s per endpoint), or G/E")
    add("--accounts", default=_env("ACCOUNTS", ""), metavar="A,B", help="connected accounts (acct_...) to create")
    add("--webhook", default=_env("WEBHOOK", ""), metavar="URL", help="deliver events here")
    add("--webhook-events", default=_env("WEBHOOK_EVENTS", "*"), metavar="A,B", help="event types (default all)")
    add("--webhook-secret-env", default="STRIPE_WEBHOOK_SECRET", metavar="NAME",
        help="environment variable that holds the signing secret (default %(default)s)")  # fmt: skip
    add("--fee-bps", type=int, default=_env("FEE_BPS", "0"), help="Stripe's fee, basis points of a charge (default 0)")
    add("--fee-fixed", type=int, default=_env("FEE_FIXED", "0"), help="fixed part of the fee, minor units (default 0)")
    add("--dispute-fee", type=int, default=_env("DISPUTE_FEE", "0"), help="fee of a dispute, minor units (default 0)")
    add("--settlement-days", type=int, default=_env("SETTLEMENT_DAYS", "2"),
        help="days until a charge's funds are available (default %(default)s)")  # fmt: skip
    add("--no-minimum-charge", action="store_true", default=_env("NO_MINIMUM_CHARGE") == "1",
        help="accept charges below Stripe's minimum, e.g. 30 pence")  # fmt: skip
    return options


def _env(name: str, default: str | None = None) -> str | None:
    return os.environ.get(f"DRAY_SANDBOX_{name}", default)


def options(arguments: list[str]) -> Options:
    """Options from arguments. Exits with status 2 if they make no sense."""
    given = parser()
    args = given.parse_args(arguments)
    accounts = tuple(filter(None, args.accounts.split(",")))
    for account in accounts:
        if not account.startswith("acct_"):
            given.error(f"--accounts: {account} is not an account id (acct_...)")
    secret = os.environ.get(args.webhook_secret_env, "")
    if args.webhook and not secret:
        given.error(f"--webhook needs the signing secret in the environment variable {args.webhook_secret_env}")
    seed = args.seed if args.seed is not None else secrets.token_hex(8)
    try:
        plan = read_file(args.faults) if args.faults is not None else Plan()
        RateLimits(args.rate_limit)
    except (FaultsInvalid, RateLimitInvalid) as error:
        given.error(str(error))
    settings = Settings(
        seed=seed,
        fee_bps=args.fee_bps,
        fee_fixed=args.fee_fixed,
        dispute_fee=args.dispute_fee,
        settlement_days=args.settlement_days,
        minimum_charge=not args.no_minimum_charge,
    )
    return Options(
        host=args.host,
        port=args.port,
        settings=settings,
        plan=plan,
        rate_limit=args.rate_limit,
        data=args.data,
        fsync=args.fsync,
        accounts=accounts,
        webhook_url=args.webhook,
        webhook_secret=secret,
        webhook_events=tuple(filter(None, args.webhook_events.split(","))),
    )


def main() -> int:
    """Serve until stopped; 0 when stopped by a signal, 1 when it could not start."""
    try:
        serve(options(sys.argv[1:]))
    except (OSError, LogUnusable) as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
