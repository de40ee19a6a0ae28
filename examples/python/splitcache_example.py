"""How a program uses splitcache.

python splitcache_example.py tour ADDRESS
python splitcache_example.py follow ADDRESS
python splitcache_example.py worker ADDRESS DATABASE
python splitcache_example.py commit-and-die DATABASE EVENT_ID TEXT

ADDRESS is host:port or unix:/path, DATABASE the path of a SQLite file.
"""

from __future__ import annotations

import signal
import sys

from cache import Cache, TwoSidecars
from follow import Printer, follow
from tour import tour
from worker import Worker, commit_and_die

HOMESERVER = "example.org"


def main(*args: str) -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        match args:
            case ("tour", address):
                tour(Cache(address, HOMESERVER))
            case ("follow", address):
                follow(Cache(address, HOMESERVER), Printer())
            case ("worker", address, database):
                Worker(Cache(address, HOMESERVER), database).run()
            case ("commit-and-die", database, event_id, text):
                commit_and_die(database, event_id, text)
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except TwoSidecars as found:
        print(f"two sidecars: {found} came back", flush=True)
        return 3
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
