"""What keys, limits, budgets and the ledger cost a request: one gateway with all of them, one with none.

python -m bench.governance

Both forward to the same mock, at the same pace, in turns. All threads of a gateway count, the ledger's too.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

from bench.client import Ask
from bench.machine import choose_cores, on_core, spent
from bench.rig import answers, free_ports
from bench.wrk import flood
from trunkline.server.app.run import run
from trunkline.settings import Settings, exposure

SECONDS: Final = 2
ROUNDS: Final = 15
"""Short ones and many: a machine that is shared has slow minutes, and both gateways must be in them."""
GOAL_US: Final = 25.0
KEY: Final = "gw_" + "b" * 43
_GUARD_S: Final = 30.0


def serve(kind: str, folder: Path, port: int, upstream: int) -> None:
    """Be one of the two gateways."""
    from trunkline.ledger.writer import Ledger

    url = f"sqlite:///{folder}/{kind}.db"
    shared: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": port,
        "ollama_enabled": False,
        "database_url": url,
        "providers": {
            "up": {"type": "openai-compatible", "url": f"http://127.0.0.1:{upstream}/v1", "local": False}
        },
        "log_level": "CRITICAL",
    }
    if kind == "none":
        settings = Settings.model_validate({**shared, "development_mode": True, "require_auth": False})
        run(settings, exposure(settings, has_keys=False))
        return
    governed = {
        "allowed_api_keys": (KEY,),
        "prices": {"up/*": {"input": 1, "output": 2}},
        "limits": [{"key": "*", "requests_per_minute": 10**9}],
        "budgets": [{"key": "*", "usd": 10**6, "per": "month"}],
    }
    settings = Settings.model_validate(shared | governed)
    run(settings, exposure(settings, has_keys=True), ledger=Ledger(url, folder / "ledger"))


@contextmanager
def process(*words: str, port: int) -> Iterator[int]:
    """A child that listens on ``port``; yields its process id."""
    child = subprocess.Popen([sys.executable, "-m", *words], stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + _GUARD_S
        while not answers(port, "/health" if "bench" in words[0] else "/v1/models"):
            if time.monotonic() > end or child.poll() is not None:
                raise SystemExit(f"{words} did not start")
            time.sleep(0.02)
        yield child.pid
    finally:
        child.terminate()
        child.wait()


class Cost(NamedTuple):
    """What a request of one round took, in CPU microseconds."""

    all: float
    own: float
    """Outside the kernel."""


def cost(pid: int, port: int, folder: Path, core: int, seconds: int = SECONDS) -> Cost:
    """One round, as many requests as go."""
    body = json.dumps(
        {"model": "bench", "max_tokens": 50, "messages": [{"role": "user", "content": "Hello there"}]}
    )
    ask = Ask(port, "/v1/chat/completions", body.encode(), (("Authorization", f"Bearer {KEY}"),))
    before = spent([pid])
    done = flood(ask, connections=32, seconds=seconds, folder=folder, core=core)
    time.sleep(0.7)  # the ledger's last transactions are part of it
    used = spent([pid]).since(before)
    each = used.cpu_ns / 1000 / done.requests
    return Cost(each, each * used.user_share)


def main() -> None:
    """Measure and print."""
    cores = choose_cores()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="trunkline-bench-")))
        up, *ports = free_ports(3)
        script = folder / "script.json"
        script.write_text(json.dumps({"models": ["bench"], "script": {"text": "Hello to you"}}))
        mock = ("trunkline_mock", "--shape", "generic", "--port", str(up), "--script", str(script))
        with on_core(cores.upstream):
            stack.enter_context(process(*mock, port=up))
        pids = []
        for kind, port in zip(("none", "all"), ports, strict=True):
            words = ("bench.governance", kind, str(folder), str(port), str(up))
            with on_core(cores.measured):
                pids.append(stack.enter_context(process(*words, port=port)))
        added: list[Cost] = []
        for pid, port in zip(pids, ports, strict=True):
            cost(pid, port, folder, cores.client, 1)
        for number in range(ROUNDS):
            none, everything = (
                cost(pid, port, folder, cores.client) for pid, port in zip(pids, ports, strict=True)
            )
            added.append(Cost(everything.all - none.all, everything.own - none.own))
            text = f"none {none.all:.1f} us, all {everything.all:.1f} us, added {added[-1].all:.1f} us"
            print(f"round {number + 1}: {text}")
        median, own = (statistics.median(each) for each in zip(*added, strict=True))
        verdict = "met" if median <= GOAL_US else "MISSED"
        text = f"{median:.1f} us CPU a request, {own:.1f} of them in its own code (goal {GOAL_US:g})"
        print(f"auth, limits, budget and ledger add {text}: {verdict}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        serve(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    else:
        main()
