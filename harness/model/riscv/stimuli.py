"""The stimuli: what the modelled kernel does not decide, verb by verb."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.model.base import Refused
from harness.model.riscv.cpu.pointer_masking import Access, transform
from harness.model.riscv.cpu.state import Mode, VsCsrs
from harness.model.riscv.host.process import PR_PMLEN_SHIFT, PR_TAGGED_ADDR_ENABLE
from harness.model.riscv.host.state import Mm, Task
from harness.model.riscv.kvm.state import Errno
from harness.model.riscv.programs import Programs
from harness.model.tasks import GONE, WHERE, At
from harness.model.values import EMPTY, ZERO, Val

PR_FLAGS = {"PR_TAGGED_ADDR_ENABLE": PR_TAGGED_ADDR_ENABLE}
MEANWHILE = ("raise", "lower")


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
        self.seen = self.address = self.sbi = None
        self.signal = self.errno = self.refused_reg = ""
        if actor in self.tasks or actor in self.vcpus:
            where = self.place(actor)
            if where >= 0:
                self.run_on(where)
        else:
            self.run_on(int(actor[3:]))
            if not self.cpu.online and verb != "hotplug":
                raise Refused(f"{actor} is off line; `{actor} hotplug on` would bring it back")
        handler = self.handlers.get(verb)
        if handler is None:
            handler = self.handlers[verb] = getattr(self, "on_" + verb)
        handler(actor, *args)

    # System calls --------------------------------------------------------------------

    def on_syscall(self, actor: str) -> None:
        self.syscall(self.in_user(actor))

    def on_syscall_enter(self, actor: str) -> None:
        self.do_trap_ecall_u(self.in_user(actor))

    def on_ret_to_user(self, actor: str) -> None:
        task = self.in_kernel(actor, At.USER, At.SYSCALL, At.RUN)
        if task.kernel_mode_v:
            raise Refused(f"{actor} uses vectors in the kernel; `{actor} kernel_vector_end`")
        if task.at is At.RUN:
            self.vcpu_put(self.vcpus[task.vcpu])
        self.exit_to_user_mode()

    def on_uaccess(self, actor: str, address: int) -> None:
        """A system call takes a pointer: untagged_addr(), then access_ok()."""
        task = self.in_user(actor)
        self.do_trap_ecall_u(task)
        pmlen = self.mms[task.mm].pmlen
        self.address = transform(address, pmlen, Access.DATA, True)
        if self.address >> self.host.sv - 1:
            self.errno = "EFAULT"
        self.exit_to_user_mode()

    def on_prctl(self, actor: str, option: str, value: int, flags: tuple[str, ...] = ()) -> None:
        task = self.in_user(actor)
        self.do_trap_ecall_u(task)
        if option == "PR_SET_TAGGED_ADDR_CTRL":
            arg = value << PR_PMLEN_SHIFT | sum(PR_FLAGS[f] for f in flags)
            self.errno = self.set_tagged_addr_ctrl(task, arg)
        elif option == "PR_GET_TAGGED_ADDR_CTRL":
            got = self.get_tagged_addr_ctrl(task)
            self.errno = "EINVAL" if got is None else ""
            self.seen = None if got is None else (self.val(got, "kernel"),)
        else:
            self.errno = self.riscv_v_vstate_ctrl_set_current(value)
        if self.errno:
            self.note("errno", self.errno)
        self.exit_to_user_mode()

    def on_kernel_vector_begin(self, actor: str) -> None:
        task = self.in_kernel(actor, At.SYSCALL)
        if task.kernel_mode_v or not self.has_vector:
            raise Refused(f"{actor} cannot use vectors in the kernel now")
        if not self.kernel_vector:
            return  # it does without
        self.kernel_vector_begin()
        self.use_vector_in_kernel()

    def on_kernel_vector_end(self, actor: str) -> None:
        task = self.in_kernel(actor, At.SYSCALL)
        if not self.kernel_vector:
            return
        if not task.kernel_mode_v:
            raise Refused(f"{actor} uses no vectors; `{actor} kernel_vector_begin` would begin")
        self.kernel_vector_end()

    def on_signal(self, actor: str) -> None:
        task = self.in_user(actor)
        self.cpu.mode = Mode.KERNEL
        self.setup_rt_frame(task)
        self.exit_to_user_mode()

    def on_sigreturn(self, actor: str) -> None:
        task = self.in_user(actor)
        if not task.frames:
            raise Refused(f"{actor} is in no signal handler; `{actor} signal` enters one")
        self.do_trap_ecall_u(task)
        self.rt_sigreturn(task)
        self.exit_to_user_mode()

    # Lives ---------------------------------------------------------------------------

    def _bear(self, actor: str, name: str, clone_vm: bool) -> None:
        parent, child = self.in_user(actor), self.tasks[name]
        if child.at is not At.UNBORN:
            raise Refused(f"{name} exists already")
        self.do_trap_ecall_u(parent)
        child.host = parent.host
        self.arch_dup_task_struct(child, parent)
        self.copy_thread(child, parent, clone_vm)
        child.at = At.USER
        child.logical_f = parent.logical_f
        self.exit_to_user_mode()

    def on_fork(self, actor: str, child: str) -> None:
        self._bear(actor, child, clone_vm=False)

    def on_clone(self, actor: str, child: str) -> None:
        self._bear(actor, child, clone_vm=True)

    def on_exec(self, actor: str) -> None:
        task = self.in_user(actor)
        self.do_trap_ecall_u(task)
        if any(t.mm == task.mm and t is not task for t in self.tasks.values()):
            raise Refused(f"{actor} shares its memory with other threads, which exec would kill")
        self.mms[task.mm] = Mm()
        self.flush_thread(task)
        self.start_thread(task)
        task.logical_f = task.logical_v = EMPTY
        task.frames = ()
        self.exit_to_user_mode()

    def on_exit(self, actor: str) -> None:
        task = self.in_user(actor)
        self.do_trap_ecall_u(task)
        task.at = At.DEAD
        self._switch_to(self.tasks[f"idle{self.cpu.id}"])

    # KVM -----------------------------------------------------------------------------

    def on_vcpu_load(self, actor: str) -> None:
        vcpu = self.vcpus[actor]
        task = self.in_kernel(vcpu.thread, At.SYSCALL)
        if task.vcpu or not vcpu.created:
            raise Refused(f"{task.name} has loaded {task.vcpu or 'nothing that exists'}")
        if task.kernel_mode_v:
            raise Refused(
                f"{task.name} uses vectors in the kernel; `{task.name} kernel_vector_end`"
            )
        self.kvm_arch_vcpu_ioctl_run(vcpu)

    def on_vcpu_put(self, actor: str) -> None:
        self.vcpu_put(self.loaded(actor))

    def on_guest_enter(self, actor: str) -> None:
        self.guest_enter(self.loaded(actor))

    def on_guest_exit(self, actor: str, why: str) -> None:
        self.guest_exit(self.in_guest(actor), why if why in MEANWHILE else "")

    # The scheduler, interrupts, power ---------------------------------------------------

    def on_sched_switch(self, actor: str, prev: str, following: str) -> None:
        prev, following = self._idle(prev), self._idle(following)
        current, task = self.current, self.tasks[following]
        if current.name != prev:
            raise Refused(f"{actor} runs {current.name}, not {prev}")
        if task.at in GONE:
            raise Refused(f"{following} {WHERE[task.at]}")
        if task.on_cpu >= 0:
            raise Refused(f"{following} is current on cpu{task.on_cpu}")
        if task.host != self.cpu.host:
            raise Refused(f"{following} is a task of the other host")
        if current.kernel_mode_v and not self.preemptible:
            raise Refused(f"{prev} uses vectors in the kernel, with softirqs and preemption off")
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
            self.guest_enter(self.vcpus[task.vcpu])

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
        self._lose_power()
        self.suspend_cpu()
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
                raise Refused(
                    f"{actor} runs {self.current.name}; `{actor} switch {self.current.name} -> "
                    "idle` frees it"
                )
            self.cpu.online = False
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
        self.do_trap_ecall_u(task)
        try:
            do()
        except Errno as error:
            self.errno = error.name
            self.note("errno", self.errno)
        self.exit_to_user_mode()

    def on_ioctl(
        self, actor: str, request: str, name: str, argument: tuple[int, ...] | None = None
    ) -> None:
        vcpu = self.idle_vcpu(actor, name)
        number = argument[0] if argument else 0
        if request == "KVM_CREATE_VCPU":
            if vcpu.created:
                raise Refused(f"{name} exists; `vcpu {name} in {vcpu.thread} later` waits for this")
            self.vcpu_ioctl(lambda: self.kvm_arch_vcpu_create(vcpu, number))
            return
        if argument is None and request in ("KVM_SET_MP_STATE", "KVM_SET_GUEST_DEBUG"):
            raise Refused(f"{request} takes a number, such as `{actor} ioctl {request} {name} 1`")
        if not vcpu.created:
            raise Refused(f"{name} does not exist; `{actor} ioctl KVM_CREATE_VCPU {name}` makes it")
        if request == "KVM_RUN":
            self.do_trap_ecall_u(self.current)
            self.kvm_arch_vcpu_ioctl_run(vcpu)
            self.guest_enter(vcpu)
        elif request == "KVM_INTERRUPT":
            self.vcpu_ioctl(lambda: self.interrupt(vcpu, number))
        elif request == "KVM_SET_MP_STATE":
            self.vcpu_ioctl(lambda: self.kvm_arch_vcpu_ioctl_set_mpstate(vcpu, number))
        elif request == "KVM_SET_GUEST_DEBUG":
            self.vcpu_ioctl(lambda: self.kvm_arch_vcpu_ioctl_set_guest_debug(vcpu, number))
        else:
            room = None if argument is None else number
            self.vcpu_ioctl(lambda: self.get_reg_list(vcpu, room))
