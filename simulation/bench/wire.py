"""Bytes on the wire: what one round of the benchmark's study costs a site, in Flower's own form."""

from common.messages import Instruction, instruction_content, update_content
from common.messages.wire import wire_size
from simulation.bench.work import Work


def wire_bytes() -> tuple[int, int]:
    """Return the bytes of a round's content to a site and from it."""
    work = Work(sites=1, inner_steps=1, seed=0)
    study, theta = work.study.id, work.theta
    down = instruction_content(Instruction(study, 1, theta))
    return wire_size(down), wire_size(update_content(study, 1, theta))
