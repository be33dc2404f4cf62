"""Finds the command, resolves the settings, runs it."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from types import ModuleType

from scripts import cli
from scripts.cli import sandbox, sim
from scripts.run_state import AlreadyRunning, NotRunning
from scripts.settings import BadSetting, flag_of, resolve, table

DESCRIPTION = """Dray, a concurrent order processor: orders, SKUs and suppliers are durable virtual actors on Ray.

    scripts/dray up --detach        start a system (embedded Redis, Stripe sandbox, Ray, hosts, gateway)
    scripts/dray demo               watch orders flow, with nothing else running
    scripts/dray down               stop what `up` started
"""
EPILOG = "Every flag is also an environment variable (--redis is DRAY_REDIS); `dray config` lists them all."
ORDER = ("up", "down", "status", "demo", "replay", "load", "audit", "chaos", "sim", "bench", "keys", "parked", "config")
"""Of the commands in the help; others follow by name."""
OPTIONS_OF_THEIR_OWN = {"sandbox": sandbox.hand_over, "sim": sim.hand_over}
"""Products of their own that mean no running system: they parse their options themselves."""


def commands() -> list[str]:
    names = [module.name for module in pkgutil.iter_modules(cli.__path__) if not module.name.startswith("_")]
    return sorted(names, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="dray", description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    chosen = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in commands():
        module = importlib.import_module(f"scripts.cli.{name}")
        summary, _, more = (module.__doc__ or "").strip().partition("\n")
        command = chosen.add_parser(
            name, help=summary.rstrip("."), description=f"{summary}\n{more}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        add_settings(command, module)
        module.configure(command)
        command.set_defaults(module=module)
    return top


def add_settings(command: argparse.ArgumentParser, module: ModuleType) -> None:
    rows = table()
    for name in ("data", *getattr(module, "SETTINGS", ())):
        about = rows[name]
        command.add_argument(
            flag_of(name), dest=f"setting_{name}", metavar=about.metavar or name.upper(),
            help=f"{about.help} ({about.variable})".replace("%", "%%"),
        )  # fmt: skip


def main() -> int:
    if sys.argv[1:2] and sys.argv[1] in OPTIONS_OF_THEIR_OWN:
        return OPTIONS_OF_THEIR_OWN[sys.argv[1]](sys.argv[2:])
    arguments = parser().parse_args()
    prefix = "setting_"
    flags = {name.removeprefix(prefix): text for name, text in vars(arguments).items() if name.startswith(prefix)}
    try:
        code: int = arguments.module.run(arguments, resolve(flags))
    except BadSetting as error:
        print(f"dray: {error}", file=sys.stderr)
        return 2
    except (NotRunning, AlreadyRunning) as error:
        print(f"dray: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        return 130
    return code


if __name__ == "__main__":
    sys.exit(main())
