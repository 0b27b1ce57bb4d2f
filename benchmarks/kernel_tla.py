"""The transition system of fpsimd.tla (kernel-tla), one step at a time.

Its variables, procedures and labels have the names that they have there, and a label is one atomic
step, as in PlusCal. There is one CPU, and any number of threads and values; `Interrupt` has
the guard that ctxsw.tla has, without which the stack grows for ever. A step works on plain
objects: on the `Machine` and the `Thread` that takes it, and `fts2` on one more thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple, Protocol, TypeAlias

NONE = -1  # no CPU, no thread
DEFAULT = -2  # defaultInitValue
CPU = 0
Vector: TypeAlias = tuple[int, int]  # the lower half, which FPSIMD has, and what SVE adds
ZERO = 0  # the values that are written are counted from 1
ZEROS: Vector = (ZERO, ZERO)
UNSET: Vector = (DEFAULT, DEFAULT)


class Broken(Exception):
    """An assertion or an invariant does not hold."""


class Frame(NamedTuple):
    """What a call puts on the stack: where it returns to, and a variable that it shadows."""

    procedure: str
    pc: str
    saved: Any


@dataclass(slots=True)
class Machine:
    """What is not one thread's alone: the scheduler and the CPU."""

    cpu: tuple[int, ...]  # of each thread
    runqueue: frozenset[int]
    interrupts: bool = False
    fpsimd_last_state: int = NONE
    fpsimd_context_busy: bool = False
    hwfpsimd: Vector = ZEROS
    sve_user_trap: bool = True


@dataclass(slots=True)
class Thread:
    """What is a thread's own."""

    number: int
    pc: str = "thr1"
    stack: tuple[Frame, ...] = ()
    in_interrupt: bool = False
    mode: str = "user"
    preempt_count: int = 0
    fpsimd_state: int = ZERO
    fpsimd_cpu: int = NONE
    sve_state: Vector = ZEROS
    tif_foreign_fpstate: bool = True
    tif_sve: bool = False
    next: int = DEFAULT
    next_: int = DEFAULT
    kval: Vector = UNSET
    val: Vector = ZEROS


FIELDS: dict[type, Callable[[Any], tuple[Any, ...]]] = {
    kind: attrgetter(*[field.name for field in fields(kind)]) for kind in (Machine, Thread)
}
Action: TypeAlias = Callable[[Machine, Thread], bool | None]  # False: not enabled


def claim(holds: bool, what: str) -> None:
    if not holds:
        raise Broken(what)


# Calls -----------------------------------------------------------------------------------

FIRST = {
    "kernel_neon_begin": "knb1",
    "kernel_neon_end": "kne1",
    "fpsimd_restore_current_state": "frcs1",
    "fpsimd_thread_switch": "fts1",
    "schedule": "sch1",
    "do_notify_resume": "dnr1",
    "interrupt_handler": "handle_int",
    "do_sve_acc": "dsa1",
    "kernel_neon": "kn1",
    "syscall": "sys_entry",
}
LOCAL = {"fpsimd_thread_switch": "next", "schedule": "next_", "kernel_neon": "kval"}


def call(me: Thread, procedure: str, back: str, argument: Any = DEFAULT) -> None:
    local = LOCAL.get(procedure)
    saved = None
    if local is not None:
        saved = getattr(me, local)
        setattr(me, local, argument)
    me.stack = (Frame(procedure, back, saved), *me.stack)
    me.pc = FIRST[procedure]


def leave(me: Thread) -> None:
    """`return`, which gives the shadowed variable back."""
    frame, *rest = me.stack
    local = LOCAL.get(frame.procedure)
    if local is not None:
        setattr(me, local, frame.saved)
    me.stack = tuple(rest)
    me.pc = frame.pc


# Macros ----------------------------------------------------------------------------------


def get_context(m: Machine) -> None:
    claim(not m.fpsimd_context_busy, "__get_cpu_fpsimd_context: it is not busy")
    m.fpsimd_context_busy = True


def put_context(m: Machine) -> None:
    claim(m.fpsimd_context_busy, "__put_cpu_fpsimd_context: it is busy")
    m.fpsimd_context_busy = False


def get_cpu_fpsimd_context(m: Machine, me: Thread) -> None:
    me.preempt_count += 1
    get_context(m)


def put_cpu_fpsimd_context(m: Machine, me: Thread) -> None:
    put_context(m)
    me.preempt_count -= 1


def fpsimd_save(m: Machine, me: Thread) -> None:
    claim(m.fpsimd_context_busy, "fpsimd_save: the context is busy")
    if not me.tif_foreign_fpstate:
        if me.tif_sve:
            me.sve_state = m.hwfpsimd
        else:
            me.fpsimd_state = m.hwfpsimd[0]


def read_fpsimd(m: Machine, val: Vector) -> None:
    claim(m.hwfpsimd[0] == val[0], "read_fpsimd: what was written is read")


# Procedures: a function is a label -------------------------------------------------------


def knb1(m: Machine, me: Thread) -> None:
    get_cpu_fpsimd_context(m, me)
    me.pc = "knb2"


def knb2(m: Machine, me: Thread) -> None:
    fpsimd_save(m, me)
    me.pc = "knb3"


def knb3(m: Machine, me: Thread) -> None:
    m.fpsimd_last_state = NONE
    me.tif_foreign_fpstate = True
    leave(me)


def knb3_keeps_last_state(m: Machine, me: Thread) -> None:
    """A planted bug."""
    me.tif_foreign_fpstate = True
    leave(me)


def kne1(m: Machine, me: Thread) -> None:
    put_cpu_fpsimd_context(m, me)
    leave(me)


def frcs1(m: Machine, me: Thread) -> None:
    get_cpu_fpsimd_context(m, me)
    me.pc = "frcs2"


def frcs2(m: Machine, me: Thread) -> None:
    me.pc = "frcs3" if me.tif_foreign_fpstate else "frcs4"
    me.tif_foreign_fpstate = False


def frcs3(m: Machine, me: Thread) -> None:
    claim(m.fpsimd_context_busy, "task_fpsimd_load: the context is busy")
    m.hwfpsimd = me.sve_state if me.tif_sve else (me.fpsimd_state, ZERO)
    m.fpsimd_last_state = me.number
    me.fpsimd_cpu = m.cpu[me.number]
    m.sve_user_trap = not me.tif_sve
    me.pc = "frcs4"


def frcs4(m: Machine, me: Thread) -> None:
    put_cpu_fpsimd_context(m, me)
    leave(me)


def fts1(m: Machine, me: Thread) -> None:
    get_context(m)
    fpsimd_save(m, me)
    me.pc = "fts2"


def fts2(m: Machine, me: Thread, to: Thread) -> None:
    """`to` is the thread that `next` names."""
    here = m.fpsimd_last_state == to.number and to.fpsimd_cpu == m.cpu[me.number]
    to.tif_foreign_fpstate = not here
    me.pc = "fts3"


def fts3(m: Machine, me: Thread) -> None:
    put_context(m)
    leave(me)


def may_schedule(m: Machine, me: Thread) -> None:
    claim(me.preempt_count == 0, "schedule: preemption is on")
    claim(not m.interrupts, "schedule: interrupts are off")


def sch1_nobody(m: Machine, me: Thread) -> None:
    may_schedule(m, me)
    m.interrupts = True
    leave(me)


def sch1(m: Machine, me: Thread, n: int) -> bool:
    may_schedule(m, me)
    if n not in m.runqueue:
        return False
    m.runqueue -= {n}
    me.next_ = n
    me.pc = "sch2"
    return True


def sch2(m: Machine, me: Thread) -> None:
    call(me, "fpsimd_thread_switch", "sch3", me.next_)


def sch3(m: Machine, me: Thread) -> None:
    m.runqueue |= {me.number}
    cpu = list(m.cpu)
    cpu[me.next_], cpu[me.number] = cpu[me.number], NONE
    m.cpu = tuple(cpu)
    me.pc = "sch4"


def sch4(m: Machine, me: Thread) -> None:
    me.pc = "sch5"


def sch5(m: Machine, me: Thread) -> None:
    m.interrupts = True
    leave(me)


def dnr1(m: Machine, me: Thread) -> None:
    claim(not m.interrupts, "do_notify_resume: interrupts are off")
    call(me, "schedule", "dnr2")


def dnr2(m: Machine, me: Thread) -> None:
    if me.tif_foreign_fpstate:
        call(me, "fpsimd_restore_current_state", "dnr3")
    else:
        me.pc = "dnr3"


def dnr3(m: Machine, me: Thread) -> None:
    m.interrupts = False
    if me.tif_foreign_fpstate:
        me.pc = "dnr1"
    else:
        leave(me)


def handle_int(m: Machine, me: Thread) -> None:
    m.interrupts = False
    me.in_interrupt = True
    if me.mode == "user":
        call(me, "do_notify_resume", "int1")
    elif me.preempt_count == 0:
        call(me, "schedule", "int1")
    else:
        me.pc = "int1"


def int1(m: Machine, me: Thread) -> None:
    me.in_interrupt = False
    m.interrupts = True
    leave(me)


def dsa1(m: Machine, me: Thread) -> None:
    me.mode = "kernel"
    me.pc = "dsa2"


def dsa2(m: Machine, me: Thread) -> None:
    get_cpu_fpsimd_context(m, me)
    fpsimd_save(m, me)
    me.pc = "dsa3"


def dsa3(m: Machine, me: Thread) -> None:
    me.fpsimd_cpu = NONE
    me.tif_foreign_fpstate = True
    me.pc = "dsa4"


def dsa3_keeps_task_state(m: Machine, me: Thread) -> None:
    """A planted bug."""
    me.pc = "dsa4"


def dsa4(m: Machine, me: Thread) -> None:
    me.sve_state = (me.fpsimd_state, ZERO)
    me.pc = "dsa5"


def dsa5(m: Machine, me: Thread) -> None:
    me.tif_sve = True
    put_cpu_fpsimd_context(m, me)
    me.pc = "dsa6"


def dsa6(m: Machine, me: Thread) -> None:
    m.interrupts = False
    call(me, "do_notify_resume", "dsa7")


def to_user(m: Machine, me: Thread) -> None:
    """dsa7 and sys2."""
    me.mode = "user"
    m.interrupts = True
    leave(me)


def kn1(m: Machine, me: Thread) -> None:
    call(me, "kernel_neon_begin", "kn2")


def kn2(m: Machine, me: Thread, v: int) -> None:
    m.hwfpsimd = me.kval = (v, ZERO)
    me.pc = "kn3"


def kn3(m: Machine, me: Thread) -> None:
    read_fpsimd(m, me.kval)
    leave(me)
    call(me, "kernel_neon_end", me.pc)  # which returns in place of kernel_neon


def sys_entry(m: Machine, me: Thread) -> None:
    me.mode = "kernel"
    me.tif_sve = False
    m.sve_user_trap = True
    me.pc = "sys1"


def sys1_neon(m: Machine, me: Thread) -> None:
    call(me, "kernel_neon", "sys1", UNSET)


def sys1_done(m: Machine, me: Thread) -> None:
    me.pc = "ret_to_user"


def ret_to_user(m: Machine, me: Thread) -> None:
    m.interrupts = False
    call(me, "do_notify_resume", "sys2")


def thr1(m: Machine, me: Thread) -> None:
    call(me, "fpsimd_restore_current_state", "thr2")


def thr2(m: Machine, me: Thread) -> None:
    m.interrupts = True
    me.pc = "thr3"


def thr3_write_fpsimd(m: Machine, me: Thread, v: int) -> None:
    m.hwfpsimd = me.val = (v, ZERO)


def thr3_read_fpsimd(m: Machine, me: Thread) -> None:
    read_fpsimd(m, me.val)


def thr3_write_sve(m: Machine, me: Thread, v: Vector) -> bool:
    if m.sve_user_trap:
        return False
    m.hwfpsimd = me.val = v
    return True


def thr3_read_sve(m: Machine, me: Thread) -> bool:
    if m.sve_user_trap:
        return False
    claim(m.hwfpsimd == me.val, "read_sve: what was written is read")
    return True


def thr3_trap(m: Machine, me: Thread) -> bool:
    if not m.sve_user_trap:
        return False
    call(me, "do_sve_acc", "thr3")
    return True


def thr3_syscall(m: Machine, me: Thread) -> None:
    me.val = (me.val[0], ZERO)
    call(me, "syscall", "thr3")


def interrupt(m: Machine, me: Thread) -> bool:
    """`Interrupt`, which can come at any label but its own first one, to who has the CPU."""
    if not m.interrupts or me.in_interrupt or me.pc == "handle_int":
        return False
    call(me, "interrupt_handler", me.pc)
    return True


# All of it -------------------------------------------------------------------------------


class Label(Protocol):
    """A function that is all that a label does, and has its name."""

    __name__: str

    def __call__(self, m: Machine, me: Thread, /) -> bool | None: ...


ALONE: tuple[Label, ...] = (
    *(knb1, knb2, knb3, kne1, frcs1, frcs2, frcs3, frcs4, fts1, fts3, sch2, sch3, sch4, sch5),
    *(dnr1, dnr2, dnr3, handle_int, int1, dsa1, dsa2, dsa3, dsa4, dsa5, dsa6, kn1, kn3),
    *(sys_entry, ret_to_user, thr1, thr2),
)
AWAITING = ("thr1", "sch4")  # labels that wait for the CPU; without it a thread is nowhere else
PLANTED: dict[str, tuple[str, Action]] = {
    "last-state": ("knb3", knb3_keeps_last_state),
    "task-state": ("dsa3", dsa3_keeps_task_state),
}


class System:
    """The labels, with what may be done at each, for so many threads and values.

    `actions` are alternatives, of which those that are enabled are a step each; `far` are
    those labels that work on the thread that `next` names too.
    """

    def __init__(self, threads: int = 2, vals: int = 1, planted: str = "") -> None:
        self.threads = range(threads)
        values = range(1, vals + 1)
        labels: dict[str, tuple[Action, ...]] = {f.__name__: (f,) for f in ALONE}
        labels["dsa7"] = labels["sys2"] = (to_user,)
        labels["fts2"] = ()
        labels["sch1"] = (sch1_nobody, *[partial(sch1, n=n) for n in self.threads])
        labels["kn2"] = tuple([partial(kn2, v=v) for v in values])
        labels["sys1"] = (sys1_neon, sys1_done)
        labels["thr3"] = (
            *[partial(thr3_write_fpsimd, v=v) for v in values],
            thr3_read_fpsimd,
            *[partial(thr3_write_sve, v=(v, w)) for v in values for w in values],
            *(thr3_read_sve, thr3_trap, thr3_syscall),
        )
        if planted:
            label, action = PLANTED[planted]
            labels[label] = (action,)
        self.actions = {label: (interrupt, *actions) for label, actions in labels.items()}
        self.far = {"fts2": fts2}

    def starts(self) -> list[tuple[Machine, list[Thread]]]:
        """Each thread may be the one that has the CPU at first."""
        every = frozenset(self.threads)
        return [
            (
                Machine(tuple([CPU if n == first else NONE for n in every]), every - {first}),
                [Thread(n) for n in self.threads],
            )
            for first in self.threads
        ]

    def type_inv(self, thread: Thread) -> None:
        """TypeInv, of what its type does not say already."""
        claim(thread.preempt_count >= 0, "TypeInv: preempt_count is a natural number")

    def sched_inv(self, m: Machine) -> None:
        claim(sum(cpu == CPU for cpu in m.cpu) == 1, "SchedInv: one thread has the CPU")
        claim(all(m.cpu[n] == NONE for n in m.runqueue), "SchedInv: who has it is not queued")
