"""`python -m flask_shop --port 8000`: serves the shop on 127.0.0.1 until SIGTERM or Ctrl-C.

Both end it normally: requests that are being answered finish, and whatever runs at exit runs.
"""

from __future__ import annotations

import argparse
import signal
import sys

from werkzeug.serving import make_server

from flask_shop.app import create_app

HOST = "127.0.0.1"


def main() -> None:
    """Serve until somebody asks to stop."""
    parser = argparse.ArgumentParser(prog="flask_shop", description="A small web shop.")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one (default: 8000)")
    parser.add_argument("--database", default="shop.db", help="the shop's SQLite file (default: shop.db)")
    options = parser.parse_args()

    # SIGBREAK is how Windows asks a console program to stop.
    for name in ("SIGTERM", "SIGINT", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: sys.exit(0))
    serve(options.port, options.database)


def serve(port: int, database: str) -> None:
    """Answer requests, each on a thread of its own, and wait for the last of them at the end."""
    server = make_server(HOST, port, create_app(database), threaded=True)
    server.daemon_threads = False
    print(f"listening on http://{HOST}:{server.port}", flush=True)
    try:
        server.serve_forever()
    finally:
        server.server_close()


if __name__ == "__main__":
    main()
