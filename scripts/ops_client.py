"""Asks a running system's gateway with the operator's key from `keys.json`."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from typing import Any

from scripts import run_state
from scripts.settings import Settings

TIMEOUT_S = 30.0


class OpsClient:
    """One system's gateway, as ops. Raises NotRunning."""

    def __init__(self, settings: Settings) -> None:
        self._url = run_state.running(settings).url
        self._key = json.loads(settings.keys_file.read_text())["ops"]

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's JSON. Exits with the problem's words if the gateway refuses."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        request = urllib.request.Request(self._url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                problem = json.loads(error.read() or b"{}")
            words = problem.get("detail") or problem.get("title") or ""
            sys.exit(f"dray: {error.code} {problem.get('code', '')}: {words}")
        except OSError as error:
            sys.exit(f"dray: the gateway does not answer: {error}")
