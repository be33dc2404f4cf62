"""What the processes of a system have in their environment beside what `up` itself was given."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping

from scripts.compiling.build import ROOT, path_of_processes
from scripts.settings import Settings
from scripts.supervision import ray_head


def environment_of(settings: Settings, say: Callable[[str], None], meanwhile: Callable[[], None]) -> dict[str, str]:
    """Makes what is missing: the compiled code, Ray's token, the secret of the sandbox's webhooks.

    meanwhile: called while the compiler runs; what it raises ends that. Raises CannotCompile if it must be compiled.
    """
    environment = {"PYTHONPATH": path_of_processes(settings.compiled, say, meanwhile)}
    if not settings.address:
        environment |= ray_head.environment(settings.ray_token)
    if settings.payments == "sandbox":
        environment["STRIPE_WEBHOOK_SECRET"] = settings.stripe_webhook_secret or webhook_secret(settings)
    return environment


def is_compiled(environment: Mapping[str, str]) -> bool:
    """Whether processes with this environment run compiled code."""
    return environment["PYTHONPATH"] != str(ROOT)


def webhook_secret(settings: Settings) -> str:
    """What the sandbox signs its webhooks with: made at the first start, and only its owner can read it."""
    path = settings.data / "sandbox-webhook.secret"
    if not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"whsec_{secrets.token_hex(32)}")
    return path.read_text()
