"""`ray start`, without two processes that Ray has no flag for and nobody here uses: 130 MB and a second at every start.

The Ray Client server runs wherever what it needs is installed, on a fixed port that a second Ray on the machine would
miss. With the dashboard switched off, its process still runs, to report usage statistics that are switched off, too.
"""

from __future__ import annotations

import sys
from typing import Any

from ray._private.node import Node
from ray.scripts import scripts

NO_DASHBOARD = "--include-dashboard=false"


def no_api_server(node: Any, **_options: Any) -> None:
    """Stands in for `Node.start_api_server`."""
    node._webui_url = ""  # noqa: SLF001 - it is Ray's own


def main() -> None:
    scripts.get_ray_client_dependency_error = lambda: "not wanted here"
    if NO_DASHBOARD in sys.argv:
        Node.start_api_server = no_api_server
    scripts.main()


if __name__ == "__main__":
    main()
