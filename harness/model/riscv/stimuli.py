"""The stimuli: what the modelled kernel does not decide, verb by verb.

Long, as it has a short method for each verb of the language; what more they need is in programs.py,
guest.py and vmm.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from harness.model.base import Refused
from harness.model.riscv import due
from harness.model.riscv.cpu.csr import (
    ENVCFG_LPE,
    ENVCFG_PMM,
    ENVCFG_SSE,
    IRQ_PMU_OVF,
    IRQ_VS_EXT,
    IRQ_VS_SOFT,
    IRQ_VS_TIMER,
)
from harness.model.riscv.cpu.pointer_masking import Access, transform
from harness.model.riscv.cpu.state import Mode, VsCsrs
from harness.model.riscv.host.process import PR_PMLEN_SHIFT, PR_TAGGED_ADDR_ENABLE
from harness.model.riscv.host.state import Mm, Task
from harness.model.riscv.kvm.sbi import SBI_ERR_NOT_SUPPORTED
from harness.model.riscv.kvm.state import Errno, Vcpu
from harness.model.riscv.kvm.uapi import (
    ARGUMENTS,
    KVM_INTERRUPT_SET,
    KVM_MP_STATE_INIT_RECEIVED,
    all_ids,
    reg_name,
)
from harness.model.riscv.kvm.vcpu_sbi import INVALID_GPA
from harness.model.riscv.kvm.vcpu_sbi_fwft import MIS_DELEG
from harness.model.riscv.programs import Programs
from harness.model.tasks import GONE, WHERE, At, titled
from harness.model.values import EMPTY, ZERO, Val

PR_FLAGS = {
    "PR_TAGGED_ADDR_ENABLE": PR_TAGGED_ADDR_ENABLE,
    # another architecture's, which this one refuses
    "PR_MTE_TCF_SYNC": 1 << 1,
    "PR_MTE_TCF_ASYNC": 1 << 2,
}
PRCTLS = (
    *("PR_SET_TAGGED_ADDR_CTRL", "PR_GET_TAGGED_ADDR_CTRL"),
    *("PR_RISCV_V_SET_CONTROL", "PR_RISCV_V_GET_CONTROL"),
)
MEANWHILE = ("raise", "lower")
# What a running guest changes of what ONE_REG has set, and what a reset clears.
GUEST_GROUPS = frozenset(["core", "csr", "aia", "timer", "fp_f", "fp_d", "vector", "zicfiss"])
RESET_GROUPS = GUEST_GROUPS | {"smstateen", "fwft", "sta"}  # a guest's sstateen0 is read-only
# What a reset leaves that is not zero: kvm_riscv_vcpu_timer_reset(), and so on. Of scounteren
# it depends on the kernel, and who asks for the reset says where the vcpu goes on.
AFTER_RESET: dict[str, tuple[int, ...]] = {
    "timer.compare": (due.NEVER,),
    "csr.scounteren": (0, 0b111),
}
NOT_RESET = re.compile(
    r"core\.(pc|x1[01]|mode)|timer\.(time|frequency)|vector\.vlenb|fwft\..*\.(enable|value)"
)


class Stimuli(Programs):
    """One method a verb, `on_VERB`, called with the actor's name and operands."""

    __slots__ = ("handlers", "kernel_vector", "preemptible")

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.handlers: dict[str, Callable[..., None]] = {}
        # Whether this kernel uses vectors itself, and can be preempted while it does.
        self.kernel_vector = "kernel-vector" in self.fixes
        self.preemptible = "v-preemptible" in self.fixes

    def apply(self, actor: str, verb: str, args: tuple[Any, ...]) -> None:
        self.traps.clear()
        self.seen = self.address = self.sbi = self.returned = None
        self.signal = self.errno = self.refused_reg = ""
        if actor in self.tasks or actor in self.vcpus:
            where = self.place(actor)
            if where >= 0:
                self.run_on(where)
        else:
            self.run_on(int(actor[3:]))
            if not self.cpu.online and verb != "hotplug":
                raise Refused(f"{actor} is off line")
        handler = self.handlers.get(verb)
        if handler is None:
            handler = self.handlers[verb] = getattr(self, "on_" + verb)
        handler(actor, *args)
        self._reset_due()

    def _reset_due(self) -> None:
        """A reset that a guest has asked for is due once the vcpu runs."""
        for hart in self.harts:
            if hart.mode is Mode.GUEST:
                owed = self.vcpu_due[self.tasks[self.rqs[hart.id].current].vcpu]
                if owed.reset is not None:
                    due.reset_vcpu(owed, *owed.reset)
                    due.forget(owed, RESET_GROUPS)
                    self.has_no_past(self.vcpus[owed.name])

    def has_no_past(self, vcpu: Vcpu) -> None:
        """A vcpu that has been reset has nothing of its former life, where it is kept for it."""
        left = {
            "henvcfg.PMM": vcpu.cfg.henvcfg & ENVCFG_PMM,
            "hedeleg, misaligned": vcpu.cfg.hedeleg & MIS_DELEG,
            "henvcfg.LPE": vcpu.cfg.henvcfg & ENVCFG_LPE,
            "henvcfg.SSE": vcpu.cfg.henvcfg & ENVCFG_SSE,
            "sta.shmem_lo": vcpu.shmem != INVALID_GPA,  # though STA may be off
        }
        for what, value in left.items():
            if value:
                text = f"{vcpu.name} is reset, and its {what} is not"
                self.violated("reset", vcpu.name, what, text)
        for reg in all_ids(self.hosts[vcpu.host].vlenb):
            name = reg_name(reg)
            group = name.partition(".")[0]
            if group not in RESET_GROUPS or group == "sta" or NOT_RESET.fullmatch(name):
                continue
            got = self.would_get(vcpu, reg)
            if got is not None and not {val.bits for val in got} <= {*AFTER_RESET.get(name, (0,))}:
                text = f"{vcpu.name} is reset, and its {name} is {got[0].bits:#x}"
                self.violated("reset", vcpu.name, name, text)

    # System calls --------------------------------------------------------------------

    def on_syscall(self, actor: str) -> None:
        self.svc(self.in_user(actor))
        self.exit_to_user_mode()

    def on_syscall_enter(self, actor: str) -> None:
        self.svc(self.in_user(actor))

    def on_ret_to_user(self, actor: str) -> None:
        task = self.in_kernel(actor, At.USER, At.SYSCALL, At.RUN)
        if task.kernel_mode_v:
            raise Refused(f"{actor} uses vectors in the kernel")
        if task.at is At.RUN:
            self.vcpu_put(self.vcpus[task.vcpu])
        vcpu = self.waits(task)
        if vcpu is not None:
            vcpu.waiting = ""  # a signal: KVM_RUN gives EINTR
        self.exit_to_user_mode()

    def on_uaccess(self, actor: str, address: int) -> None:
        """A system call takes a pointer: untagged_addr(), then access_ok()."""
        task = self.in_user(actor)
        self.svc(task)
        pmlen = self.mms[task.mm].pmlen
        self.address = transform(address, pmlen, Access.DATA, True)
        tags = self.tags_of(actor)
        if tags != pmlen:
            text = f"the kernel strips {pmlen} bits of {actor}'s pointers, it has asked for {tags}"
            self.violated("set-lost", actor, "PR_TAGGED_ADDR_ENABLE", text)
        if self.address >> self.host.sv - 1:
            self.errno = "EFAULT"
        self.exit_to_user_mode()

    def on_futex(self, actor: str, address: int) -> None:
        """arch_futex_atomic_op_inuser(): access_ok(), then an AMO, which nothing masks in S-mode.

        If that faults, fault_in_user_writeable() finds nothing wrong, and the kernel tries again.
        """
        task = self.in_user(actor)
        self.svc(task)
        untagged = transform(address, self.mms[task.mm].pmlen, Access.DATA, True)
        self.address = untagged if "futex-untag" in self.fixes else address
        if untagged >> self.host.sv - 1:
            self.errno = "EFAULT"
        elif self.address >> self.host.sv - 1:
            text = f"the kernel changes {actor}'s futex by a tagged pointer: the call never returns"
            self.violated("set-lost", actor, "PR_TAGGED_ADDR_ENABLE", text)
        self.exit_to_user_mode()

    def on_prctl(self, actor: str, option: str, value: int, flags: tuple[str, ...] = ()) -> None:
        task = self.in_user(actor)
        arg = value << PR_PMLEN_SHIFT | sum(PR_FLAGS[f] for f in flags)
        if "GET" in option and (value or flags):
            raise Refused(f"{option} takes no argument but 0")
        if flags and option != "PR_SET_TAGGED_ADDR_CTRL":
            raise Refused(f"{option} has no {flags[0]}")
        if arg >> 64:
            raise Refused(f"{value} << {PR_PMLEN_SHIFT} does not fit into 64 bits")
        self.svc(task)
        owed = self.task_due[actor]
        if option == "PR_SET_TAGGED_ADDR_CTRL":
            self.errno = self.set_tagged_addr_ctrl(task, arg)
            if not self.errno:
                with_abi = "pmm-with-abi" in self.fixes and "pmm-without-abi" not in self.fixes
                due.tagged(owed, arg, self.host.pmlen, with_abi)
                self.task_due[owed.mm].tags = owed.tags
        elif option == "PR_GET_TAGGED_ADDR_CTRL":
            self._returns(self.get_tagged_addr_ctrl(task))
        elif option == "PR_RISCV_V_GET_CONTROL":
            self._returns(self.riscv_v_vstate_ctrl_get_current())
        else:
            self.errno = self.riscv_v_vstate_ctrl_set_current(value)
            if not self.errno:
                due.v_control(owed, value)
        if self.errno:
            self.note("errno", self.errno)
        self.exit_to_user_mode()

    def tags_of(self, actor: str) -> int:
        """The length of the tagged address ABI of a task's memory, which threads share."""
        return self.task_due[self.task_due[actor].mm].tags

    def _returns(self, value: int | None) -> None:
        """What a prctl says, None for EINVAL."""
        self.returned = value
        self.errno = "EINVAL" if value is None else ""
        self.seen = None if value is None else (self.val(value, "kernel"),)

    def on_kernel_vector_begin(self, actor: str) -> None:
        task = self.in_kernel(actor, At.SYSCALL)
        if task.kernel_mode_v or not self.has_vector:
            raise Refused(f"{actor} cannot use vectors in the kernel now")
        if not self.kernel_vector:
            return  # it does without
        self.kernel_vector_begin()
        self.use_vector_in_kernel()
        self.task_due[actor].kernel_v = self.cpu.v

    def on_kernel_vector_end(self, actor: str) -> None:
        task = self.in_kernel(actor, At.SYSCALL)
        if not self.kernel_vector:
            return
        if not task.kernel_mode_v:
            raise Refused(f"{actor} uses no vectors in the kernel")
        self.task_due[actor].kernel_v = EMPTY
        self.kernel_vector_end()

    def on_signal(self, actor: str) -> None:
        task = self.in_user(actor)
        self.cpu.mode = Mode.KERNEL
        due.signal(self.task_due[actor])
        self.setup_rt_frame(task)
        self.exit_to_user_mode()

    def on_sigreturn(self, actor: str) -> None:
        task = self.in_user(actor)
        if not task.frames:
            raise Refused(f"{actor} is not in a signal handler")
        self.svc(task)
        due.sigreturn(self.task_due[actor])
        self.rt_sigreturn(task)
        self.exit_to_user_mode()

    # Lives ---------------------------------------------------------------------------

    def _bear(self, actor: str, name: str, clone_vm: bool) -> None:
        parent, child = self.in_user(actor), self.tasks[name]
        if child.at is not At.UNBORN:
            raise Refused(f"{name} exists already")
        self.svc(parent)
        child.host = parent.host
        due.fork(self.task_due[actor], self.task_due[name], clone_vm)
        self.arch_dup_task_struct(child, parent)
        self.copy_thread(child, parent, clone_vm)
        child.at = At.USER
        self.exit_to_user_mode()

    def on_fork(self, actor: str, child: str) -> None:
        self._bear(actor, child, clone_vm=False)

    def on_clone(self, actor: str, child: str) -> None:
        self._bear(actor, child, clone_vm=True)

    def on_exec(self, actor: str) -> None:
        task = self.in_user(actor)
        if any(t.mm == task.mm and t is not task for t in self.tasks.values()):
            raise Refused(f"{actor} shares its memory with other threads, which exec would kill")
        self.svc(task)
        due.exec_(self.task_due[actor])
        self.mms[task.mm] = Mm()
        self.flush_thread(task)
        self.start_thread(task)
        task.frames = ()
        self.exit_to_user_mode()

    def on_exit(self, actor: str) -> None:
        task = self.in_user(actor)
        self.svc(task)
        task.at = At.DEAD
        self._switch_to(self.tasks[f"idle{self.cpu.id}"])

    # KVM -----------------------------------------------------------------------------

    def on_vcpu_load(self, actor: str) -> None:
        vcpu = self.vcpus[actor]
        task = self.in_kernel(vcpu.thread, At.SYSCALL)
        if not vcpu.created:
            raise Refused(f"{actor} has not been created")
        if task.vcpu:
            raise Refused(f"{task.name} has loaded {task.vcpu}")
        if vcpu.waiting and self.asleep(vcpu):
            raise Refused(self.asleep(vcpu))
        other = self.waits(task)
        if other is not None and other is not vcpu:
            raise Refused(f"{task.name} is in KVM_RUN, for {other.name}")
        if task.kernel_mode_v:
            raise Refused(f"{task.name} uses vectors in the kernel")
        self.runs(vcpu)
        self.kvm_arch_vcpu_ioctl_run(vcpu)

    def on_vcpu_put(self, actor: str) -> None:
        self.vcpu_put(self.loaded(actor))

    def on_guest_enter(self, actor: str) -> None:
        self.guest_enter(self.loaded(actor))

    def on_pmu_overflow(self, actor: str) -> None:
        """kvm_riscv_pmu_overflow(): an event of the host's perf that counts for the guest."""
        vcpu = self.vcpus[actor]
        if not vcpu.created or not self.probe_of(vcpu):
            raise Refused(f"no counter of {actor} can overflow")
        if "isa-sscofpmf" in self.fixes:
            self.kvm_riscv_vcpu_set_interrupt(vcpu, IRQ_PMU_OVF)

    def probe_of(self, vcpu: Vcpu) -> bool:
        """Whether the vcpu's host has counters for it."""
        host = self.hosts[vcpu.host]
        return host.pmu and {"ssaia", "sscofpmf"} <= host.isa

    def on_hrtimer_expired(self, actor: str) -> None:
        """kvm_riscv_vcpu_hrtimer_expired(): the timer that stands in for Sstc."""
        vcpu = self.vcpus[actor]
        if not vcpu.next_set or "sstc" in self.hosts[vcpu.host].isa:
            raise Refused(f"{actor} has no timer on")
        vcpu.next_set = self.vcpu_due[actor].armed = False
        self.kvm_riscv_vcpu_set_interrupt(vcpu, IRQ_VS_TIMER)

    def on_guest_exit(self, actor: str, why: str) -> None:
        vcpu = self.in_guest(actor)
        if why in MEANWHILE:
            due.interrupt(self.vcpu_due[actor], IRQ_VS_SOFT, why == "raise")
        self.guest_exit(vcpu, why if why in MEANWHILE else "")

    # The scheduler, interrupts, power ---------------------------------------------------

    def on_sched_switch(self, actor: str, prev: str, following: str) -> None:
        prev, following = self._idle(prev), self._idle(following)
        current, task = self.current, self.tasks[following]
        if current.name != prev:
            raise Refused(f"{actor} runs {titled(current.name)}, not {titled(prev)}")
        if task.at in GONE:
            raise Refused(f"{following} {WHERE[task.at]}")
        if task.on_cpu >= 0:
            raise Refused(f"{titled(following)} is current on cpu{task.on_cpu}")
        if task.host != self.cpu.host:
            raise Refused(f"{following} is a task of the other host")
        if current.kernel_mode_v and not self.preemptible:
            raise Refused(
                f"{titled(prev)} uses vectors in the kernel, with softirqs and preemption off"
            )
        self._leave()
        self._switch_to(task)

    def _idle(self, name: str) -> str:
        return f"idle{self.cpu.id}" if name == "idle" else name

    def _switch_to(self, task: Task) -> None:
        prev = self.current
        if prev.at is not At.DEAD:
            self.fire_sched_out_preempt_notifiers()
        self.switch_to(prev, task)
        prev.on_cpu = -1
        self.rqs[self.cpu.id].current = task.name
        task.on_cpu = self.cpu.id
        self.fire_sched_in_preempt_notifiers()

    def on_switch(self, actor: str, prev: str, following: str) -> None:
        self.on_sched_switch(actor, prev, following)
        self._go_on()

    def _leave(self) -> None:
        """An interrupt takes the CPU into the host kernel, wherever it is."""
        if self.cpu.mode is Mode.GUEST:
            self.guest_exit(self.vcpus[self.current.vcpu])
            self.current.at = At.GUEST
        self.cpu.mode = Mode.KERNEL

    def _go_on(self) -> None:
        """Let current go on with what it was doing."""
        task = self.current
        if task.kernel_mode_v:
            return
        if task.at is At.USER:
            self.exit_to_user_mode()
        elif task.at is At.GUEST:
            self.guest_enter_again(self.vcpus[task.vcpu])

    def on_irq(self, actor: str) -> None:
        was = self.cpu.mode
        self._leave()
        if was is not Mode.KERNEL:
            self._go_on()

    def on_softirq(self, actor: str, what: str) -> None:
        """An interrupt, and on the way out of it a softirq that uses vectors in the kernel."""
        if self.current.kernel_mode_v or not self.has_vector:
            raise Refused(f"no softirq on {actor} can use vectors now")
        was = self.cpu.mode
        self._leave()
        if self.kernel_vector:
            self.kernel_vector_begin()
            self.use_vector_in_kernel()
            self.kernel_vector_end()
        if was is not Mode.KERNEL:
            self._go_on()

    def on_cpu_pm(self, actor: str) -> None:
        was = self.cpu.mode
        if self.current.vcpu:
            raise Refused(f"{self.current.vcpu} is loaded on {actor}, which cannot sleep now")
        if self.current.kernel_mode_v:
            raise Refused(f"{self.current.name} uses vectors in the kernel, it does not sleep now")
        self.cpu.mode = Mode.KERNEL
        if self.has_fpu:
            self.fstate_save(self.current)
        if self.has_vector:
            self.riscv_v_vstate_save(self.current)
        self.kvm_riscv_cpu_pm_notifier(enter=True)
        self._lose_power()
        self.suspend_cpu()
        self.kvm_riscv_cpu_pm_notifier(enter=False)
        if self.has_fpu:
            self.fstate_restore(self.current)
        if self.has_vector:
            self.riscv_v_vstate_set_restore(self.current)
        if was is not Mode.KERNEL:
            self._go_on()

    def _lose_power(self) -> None:
        """What a hart forgets; envcfg is suspend_cpu()'s."""
        hart = self.cpu
        hart.f = hart.v = EMPTY
        hart.vs = VsCsrs()
        hart.henvcfg = hart.hstateen0 = hart.hedeleg = hart.hideleg = 0

    def on_hotplug(self, actor: str, state: str) -> None:
        if (state == "on") is self.cpu.online:
            raise Refused(f"{actor} is {'on' if self.cpu.online else 'off'} line already")
        if state == "off":
            if not self.current.name.startswith("idle"):
                raise Refused(f"{actor} runs {self.current.name}: only an idle CPU goes off line")
            self.cpu.online = False
            self.kvm_arch_disable_virtualization_cpu()  # kvm_offline_cpu()
            self._lose_power()
            self.cpu.senvcfg = ZERO
        else:
            self.cpu.online = True
            self.write_senvcfg(Val(self.default_envcfg()))  # riscv_user_isa_enable()
            self.kvm_arch_enable_virtualization_cpu()  # kvm_online_cpu()

    # ioctls ------------------------------------------------------------------------------

    def vcpu_ioctl(self, do: Callable[[], None]) -> None:
        """kvm_vcpu_ioctl(), from user space and back, with the errno it gives."""
        task = self.current
        self.svc(task)
        try:
            do()
        except Errno as error:
            self.errno = error.name
            self.note("errno", self.errno)
        self.exit_to_user_mode()

    def on_ioctl(
        self, actor: str, request: str, name: str, argument: tuple[int, ...] | None = None
    ) -> None:
        if request == "KVM_RUN" and self.goes_on(actor, name):
            return
        asynchronous = request in ("KVM_INTERRUPT", "KVM_ENABLE_CAP")
        vcpu = self.caller(actor, name) if asynchronous else self.idle_vcpu(actor, name)
        number = argument[0] if argument else 0
        if request == "KVM_CREATE_VCPU":
            if vcpu.created:
                raise Refused(f"{name} exists; `vcpu {name} in {vcpu.thread} later` waits for this")
            if number > 2:
                raise Refused("a vcpu has two buffers: allocation 1 or 2 can fail")
            self.vcpu_ioctl(lambda: self.kvm_arch_vcpu_create(vcpu, number))
            if not self.errno:
                due.reset_vcpu(self.vcpu_due[name])
            return
        if not vcpu.created:
            raise Refused(f"{name} has not been created")
        if argument is None and request in ARGUMENTS:
            example = next(iter(ARGUMENTS[request]))
            raise Refused(
                f"{request} takes a number, such as `{actor} ioctl {request} {name} {example}`"
            )
        if request == "KVM_RUN":
            if vcpu.stopped:
                raise Refused(self.is_stopped(vcpu))
            self.svc(self.current)
            self.runs(vcpu)
            self.kvm_arch_vcpu_ioctl_run(vcpu)
            self.guest_enter(vcpu)
            return
        room = None if argument is None else number
        calls: dict[str, Callable[[], None]] = {
            "KVM_INTERRUPT": lambda: self.kvm_arch_vcpu_async_ioctl(vcpu, number),
            "KVM_ENABLE_CAP": lambda: self.kvm_vm_ioctl_enable_cap(vcpu, number),
            "KVM_SET_MP_STATE": lambda: self.kvm_arch_vcpu_ioctl_set_mpstate(vcpu, number),
            "KVM_SET_GUEST_DEBUG": lambda: self.kvm_arch_vcpu_ioctl_set_guest_debug(vcpu, number),
            "KVM_GET_REG_LIST": lambda: self.get_reg_list(vcpu, room),
        }
        self.vcpu_ioctl(calls[request])
        if self.errno:
            return
        owed = self.vcpu_due[name]
        if request == "KVM_INTERRUPT":
            due.interrupt(owed, IRQ_VS_EXT, number == KVM_INTERRUPT_SET)
        elif request == "KVM_SET_MP_STATE" and number == KVM_MP_STATE_INIT_RECEIVED:
            # The next KVM_RUN completes a call, and starts where hart_start has said: reset or not.
            answer, asked = owed.answer, owed.reset
            due.reset_vcpu(owed)
            owed.answer, owed.reset = answer, asked
            due.forget(owed, RESET_GROUPS)
            self.has_no_past(vcpu)

    def runs(self, vcpu: Vcpu) -> None:
        """The guest runs: its registers are its own from now on."""
        owed = self.vcpu_due[vcpu.name]
        due.forget(owed, GUEST_GROUPS)
        if not self.in_memslot(vcpu.shmem & ~0xFFF, 1):
            due.forget(owed, frozenset(["sta"]))  # there is nowhere to record steal time
        if owed.answer:  # a VMM that knows nothing of the call
            owed.answer = False
            for n, bits in ((10, SBI_ERR_NOT_SUPPORTED & (1 << 64) - 1), (11, 0)):
                owed.x = owed.x.set(n, (self.val(bits, vcpu.name),))

    def goes_on(self, actor: str, name: str) -> bool:
        """Whether KVM_RUN is where the task is already, asleep: then its vcpu goes on."""
        vcpu, task = self.vcpus[name], self.tasks[actor]
        if self.waits(task) is not vcpu or task.on_cpu < 0 or task.at is not At.SYSCALL:
            return False
        self.on_vcpu_load(name)
        self.guest_enter(vcpu)
        return True
