"""What the peers of the benchmarks have in common: a long-lived process that works only
when told to, so that a caller can alternate between several.

After the warm-up it prints {"ready": true, ...}; then it answers each line on stdin with
one JSON line on stdout:

    run N                         {"ms": [one per step], "loss": the last loss}
    a command of the peer's own   what that command says
    quit, or the end of stdin     exits

A bad command is answered {"error": ...}. All else goes to stderr.

A peer has `version`, `threads`, `step()`, `loss(what step gave)` and `commands`: functions
by their name, which take the words after it and give the reply.
"""

import argparse
import ctypes
import json
import os
import sys
import time

# An OpenMP worker spins for some milliseconds after its last task; a reply is held
# back this long so that it is asleep when the caller turns to another peer.
SETTLE_S = 0.05


def parser(description, frameworks, batch):
    """The arguments that every peer takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--framework", required=True, choices=frameworks)
    parser.add_argument("--visible", default=784, type=int)
    parser.add_argument("--batch", default=batch, type=int)
    parser.add_argument("--threads", default=os.cpu_count(), type=int)
    return parser


def timed(function, count):
    out, ms = None, []
    for _ in range(count):
        start = time.perf_counter()
        out = function()
        ms.append((time.perf_counter() - start) * 1e3)
    return out, ms


def keep_memory():
    """Has the C library keep what is freed. By default a large buffer goes back to the system
    and comes anew, page by page, in every step: a third of a step's time in JAX, where
    all of its buffers together are one. Our own process has an allocator that keeps memory."""
    mmap_max, trim_threshold = -4, -1
    library = ctypes.CDLL(None)
    if not (library.mallopt(mmap_max, 0) and library.mallopt(trim_threshold, 2**31 - 1)):
        print("the C library does not take these settings", file=sys.stderr)


def answer(peer, words):
    match words:
        case ["run", count]:
            count = int(count)
            if count < 1:
                raise ValueError("run needs a count of at least 1")
            value, ms = timed(peer.step, count)
            return {"ms": ms, "loss": peer.loss(value)}
        case [name, *arguments] if name in peer.commands:
            return peer.commands[name](*arguments)
        case _:
            raise ValueError("unknown command: " + " ".join(words))


def serve(framework, make, warm_up):
    """Answers for the peer that `make` makes, after `warm_up` steps."""
    # Replies have the real stdout to themselves: libraries print where they like.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def reply(value):
        time.sleep(SETTLE_S)
        print(json.dumps(value), file=replies, flush=True)

    keep_memory()
    peer = make()
    timed(peer.step, warm_up)
    reply({"ready": True, "framework": framework, "version": peer.version, "threads": peer.threads})
    for line in sys.stdin:
        words = line.split()
        if not words:
            continue
        if words == ["quit"]:
            break
        try:
            reply(answer(peer, words))
        except Exception as error:
            reply({"error": f"{type(error).__name__}: {error}"})
