"""Instructions: of tasks in user space, and of guests."""

from __future__ import annotations

from harness.drive.arm64.planner import Planner
from harness.drive.arm64.values import encode, quads, vector, width
from harness.drive.undriven import Undriven
from harness.dsl.nodes import Event
from harness.model.arm64.due import TaskDue, VcpuDue
from harness.model.arm64.registers import place
from harness.model.operands import Reg


def _who(p: Planner, actor: str) -> str:
    """The words that say to the runner who it is."""
    return f"g {p.guest(actor)}" if actor in p.vcpu else f"t {p.user(actor)}"


def _instruction(
    p: Planner, actor: str, op: str, n: int = 0, value: bytes = b"", due: bytes | None = None
) -> None:
    """The command for the event driven last, by an instruction; what it may come to is due."""
    got = p.observe(actor)
    command = f"{_who_was(p, actor)} {op} {n}"
    if value:
        command += f" : {value.hex()}"
    right = not p.real.violations
    if right and (got.died or got.undef):
        command += " ! dies" if got.died else " ! undef"
    elif due is not None:
        command += f" = {due.hex()}"
    p.send(command)


def _who_was(p: Planner, actor: str) -> str:
    thread = p.thread.get(actor)
    return f"t {p.slot[actor]}" if thread is None else f"g {p.slot[thread]}"


def vl_of(p: Planner, actor: str) -> int:
    """The vector length that this actor runs with, in bytes."""
    cpu = p.real.cpus[p.cpu_of(p.thread.get(actor, actor))]
    p.real.run_on(cpu.id)
    return 16 * p.real.current_vq()


def read(p: Planner, event: Event) -> None:
    actor, (kind, n) = event.actor.text, event.args[0]
    _who(p, actor)
    _known(p, actor, kind)
    p.drive(actor, "read", (kind, n))
    _instruction(p, actor, f"read_{kind}", n, due=due_of(p, actor, (kind, n)))


def write(p: Planner, event: Event) -> None:
    actor, (kind, n), bits = event.actor.text, *event.args
    _who(p, actor)
    _known(p, actor, kind)
    longest = max(p.settings.get("sve", (0, 16))[1], p.settings.get("sme", (0, 16))[1])
    p.drive(actor, "write", (kind, n), bits)
    _instruction(p, actor, f"write_{kind}", n, encode(kind, bits, longest))


def _known(p: Planner, actor: str, kind: str) -> None:
    if kind == "tpidr2_el0" and actor in p.vcpu:
        raise Undriven("a guest's TPIDR2_EL0: a program cannot see whether the CPU has FEAT_FGT")


def due_of(p: Planner, actor: str, reg: Reg) -> bytes | None:
    """What this actor is entitled to read, None where it is entitled to nothing."""
    who = p.real.contexts[actor]
    if p.real.seen is None:
        return None
    owed = p.real.due_of(who)
    kind, n = reg
    if kind == "za" and isinstance(owed, TaskDue):
        vl = 16 * owed.sme.vq
        return encode("za", (_value(owed, kind, n)[0],), vl) * vl
    vq = p.real.entitled_vq(who)
    return b"".join(
        bits.to_bytes(width(kind), "little") for bits in _padded(_value(owed, kind, n), kind, vq)
    )


def _value(owed: TaskDue | VcpuDue, kind: str, n: int) -> tuple[int, ...]:
    bank, number = place(kind, n)
    if bank:
        return tuple(val.bits for val in getattr(owed.regs, bank).regs.get(number, ())) or (0,)
    if kind in ("zcr_el1", "cpacr_el1", "dbgbvr0_el1", "dbgbvr1_el1"):
        assert isinstance(owed, VcpuDue)
        value = getattr(owed.sys, kind)
    else:
        value = getattr(owed.regs, kind)
    return (getattr(value, "bits", value),)


def _padded(bits: tuple[int, ...], kind: str, vq: int) -> tuple[int, ...]:
    if not vector(kind) or kind == "v":
        return bits[:1]
    return quads(kind, (*bits, 0) if len(bits) == 1 else bits, 16 * vq)


def svcr_write(p: Planner, event: Event) -> None:
    actor = event.actor.text
    _who(p, actor)
    p.drive(actor, "svcr_write", *event.args)
    _instruction(p, actor, "write_svcr", 0, encode("svcr", event.args[0], 16))


def smstart(p: Planner, event: Event) -> None:
    _mode(p, event, "smstart")


def smstop(p: Planner, event: Event) -> None:
    _mode(p, event, "smstop")


def _mode(p: Planner, event: Event, verb: str) -> None:
    actor = event.actor.text
    _who(p, actor)
    p.drive(actor, verb, *event.args)
    _instruction(p, actor, f"{verb}_{event.args[0] or 'both'}")


def rdvl(p: Planner, event: Event) -> None:
    actor = event.actor.text
    _who(p, actor)
    p.drive(actor, "rdvl")
    _instruction(p, actor, "rdvl")


# An instruction that traps, by class. None changes a register.
_TRAPPING = {"sve": "rdvl", "sme": "rdsvl", "fp": "read_v 31"}


def trap(p: Planner, event: Event) -> None:
    actor, what = event.actor.text, event.args[0]
    if what == "fpe":
        raise Undriven("an FP exception: few CPUs trap them")
    if what in ("irq", "wfx", "hvc", "sysreg", "dabt"):
        guest_exit(p, event)
        return
    _who(p, actor)
    if actor in p.vcpu:
        p.drive(actor, "trap", what)
    else:
        after = p.next_of({actor}, 2)
        verbs = [e.verb for _, e in after]
        if verbs[:1] == ["handle_trap"] and verbs[1:] == ["ret_to_user"]:
            taken = after
        elif verbs[:1] == ["ret_to_user"]:
            taken = after[:1]
        else:
            raise Undriven("a trap whose handler runs later")
        if any(e.actor.text.startswith("cpu") for e in p.events[p.index + 1 : taken[-1][0]]):
            raise Undriven("a trap whose handler runs later")
        p.drive(actor, "trap", what)
        line = p.line
        for _, e in taken:
            p.drive(actor, e.verb, *e.args)
        p.carried(*(k for k, _ in taken))
        p.line = line
    op, _, n = _TRAPPING[what].partition(" ")
    p.send(f"{_who_was(p, actor)} {op} {n or 0}" + (" ! undef" if p.real.undef else ""))


def guest_exit(p: Planner, event: Event) -> None:
    """Nothing yet: what comes next says how the guest is left."""
    p.guest(event.actor.text)
    p.exits[event.actor.text] = (event.args[0] if event.args else "") or "irq"


def guest_enter(p: Planner, event: Event) -> None:
    vcpu = event.actor.text
    why = p.exits.pop(vcpu, None)
    if why is None:
        raise Undriven(f"{vcpu} is entered where KVM would not have come back yet")
    slot = p.guest(vcpu)
    if why == "hvc":
        p.drive(vcpu, "guest_exit", "hvc")
        p.send(f"g {slot} hvc 0")
        p.drive(vcpu, "guest_enter")
    else:
        p.drive(f"cpu{p.cpu_of(p.thread[vcpu])}", "irq")
        p.send(f"interrupt {slot}")


def leave_guest(p: Planner, vcpu: str) -> None:
    """KVM_RUN returns: the guest stores to where nothing is."""
    p.exits.pop(vcpu, None)
    slot = p.guest(vcpu)
    p.drive(vcpu, "guest_exit", "dabt")
    p.send(f"leave {slot}")
    p.drive(p.thread[vcpu], "ret_to_user")
