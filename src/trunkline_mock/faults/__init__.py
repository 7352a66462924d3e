"""What each fault does to an answer.

Two tables, by what is broken: :data:`REWRITES` for what is said, :data:`PLANS` for how it is sent (the
modules ``said`` and ``sent``; each fault is given a ``job``). A kind is in exactly one of them. Nothing here
touches a socket: the outcome is the steps that a connection plays.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from trunkline_mock.delivery import Step, deliver
from trunkline_mock.faults.in_content import REWRITES
from trunkline_mock.faults.job import Job, Voice
from trunkline_mock.faults.on_the_wire import PLANS

__all__ = ["PLANS", "REWRITES", "Job", "Voice", "spoil"]


def spoil(job: Job) -> Iterator[Step]:
    """The steps of an answer with a fault."""
    rewrite = REWRITES.get(job.fault.kind)
    if rewrite is not None:
        reply = rewrite(job)
        framing = job.framing
        if not reply.streamed:
            framing = msgspec.structs.replace(framing, chunked=False)
        return deliver(reply, job.script, framing)
    return PLANS[job.fault.kind](job)
