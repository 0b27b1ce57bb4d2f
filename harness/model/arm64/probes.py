"""What the model's functions are in a real arm64 kernel, for those who record it.

Which functions there are is asked of the machines. Here stands what only their
source tells: arch/arm64/kernel/{fpsimd,entry-common,signal,ptrace}.c and
arch/arm64/kvm/. A function that is not named here is an ordinary one in all releases.
A table, as long as the list of functions.
"""

from __future__ import annotations

from harness.model.arm64.machine import HvheMachine, NvheMachine, ProtectedMachine, VheMachine
from harness.model.base import kernel_functions
from harness.model.probing import (
    Area,
    Column,
    Kept,
    Known,
    Place,
    Places,
    Probing,
    Section,
)

# VBAR_EL1 is hyp's from __activate_traps() to __deactivate_traps() (hyp/vhe/switch.c, which
# forbids probes to most of what is between them, by NOKPROBE_SYMBOL, but not to all).
_SWITCH = "hyp's vectors are in place there: a breakpoint is a hyp panic"
_ENTRY = "entry code, which no tracer may touch (noinstr or notrace)"
_ASM = "assembly, which does not call the tracer"
_MACRO = "a macro, or part of another function"
_SME = "CONFIG_ARM64_SME"

_SYSCALL = "raw_syscalls: every system call does it"
_IOCTL = "raw_syscalls: the ioctl, without what is behind its pointer"
_PTRACE = "raw_syscalls: ptrace(), without what is behind its pointer"
_SIGRETURN = "raw_syscalls: rt_sigreturn(), without the frame"
_SIGNAL = "signal:signal_deliver, if there is a handler"
_RUN = "kvm_entry, and __kvm_vcpu_run under VHE"
_EXIT = "kvm_exit"
_USED = "fpsimd_bind_state_to_cpu in kvm_arch_vcpu_ctxsync_fp: the guest has used FP"

_VCPU = (
    Column("vcpu", "x64", (Place("%x0"),)),
    Column("id", "s32", (Place("%x0", ("kvm_vcpu.vcpu_id",)),)),
    Column("fps", "u32", (Place("%x0", ("kvm_vcpu.arch.fp_state",)),)),
    Column("vl", "u32", (Place("%x0", ("kvm_vcpu.arch.sve_max_vl",)),)),
    Column("cfl", "x8", (Place("%x0", ("kvm_vcpu.arch.cflags",)),)),
)
_PID = "task_struct.pid"
_FLAGS = "task_struct.thread_info.flags"
_TYPE = "task_struct.thread.fp_type"
_CPU = "task_struct.thread.fpsimd_cpu|task_struct.thread.fpsimd_state.cpu"
_SWITCHED = tuple(
    Column(name, type_, (Place(base, members),))
    for name, type_, base, members in (
        ("prev", "x64", "%prev", ()),
        ("next", "x64", "%x0", ()),
        ("pp", "s32", "%prev", (_PID,)),
        ("pn", "s32", "%x0", (_PID,)),
        ("pf", "x64", "%prev", (_FLAGS,)),
        ("nf", "x64", "%x0", (_FLAGS,)),
        ("pt", "u32", "%prev", (_TYPE,)),
        ("nt", "u32", "%x0", (_TYPE,)),
        ("pu", "u32", "%prev", (_CPU,)),
        ("nu", "u32", "%x0", (_CPU,)),
    )
)

KNOWN: dict[str, Known] = {
    # arch/arm64/kernel/entry-common.c, kernel/sched/core.c
    "el0_svc": Known(unreachable=_ENTRY, instead=_SYSCALL),
    "fp_user_discard": Known(
        also=("sve_user_discard", "fpsimd_syscall_enter"), inlined=True, instead=_SYSCALL
    ),
    "exit_to_user_mode": Known(
        unreachable=_ENTRY, instead="fpsimd_restore_current_state, or what the task does next"
    ),
    "do_notify_resume": Known(inlined=True, instead="fpsimd_restore_current_state"),
    "context_switch": Known(inlined=True, instead="sched:sched_switch"),
    "tls_thread_switch": Known(inlined=True, instead="fpsimd_thread_switch, just before it"),
    # arch/arm64/kernel/fpsimd.c
    "fpsimd_thread_switch": Known(fields=_SWITCHED),
    "fpsimd_save": Known(
        also=("fpsimd_save_user_state", "task_fpsimd_save"),
        inlined=True,
        instead="its callers; what it saved shows at the next load",
    ),
    "task_fpsimd_load": Known(inlined=True, instead="fpsimd_restore_current_state"),
    "fpsimd_bind_task_to_cpu": Known(
        also=("fpsimd_bind_to_cpu",), inlined=True, instead="fpsimd_restore_current_state"
    ),
    "fpsimd_flush_cpu_state": Known(
        inlined=True, instead="fpsimd_save_and_flush_cpu_state, kernel_neon_begin"
    ),
    "fpsimd_save_and_flush_current_state": Known(since="clone-preserve"),
    "fpsimd_kvm_prepare": Known(since="kvm-prepare", until="save-and-flush"),
    "fpsimd_save_kernel_state": Known(
        since="kneon-preempt", inlined=True, instead="fpsimd_thread_switch and its flags"
    ),
    "fpsimd_load_kernel_state": Known(
        since="kneon-preempt", inlined=True, instead="fpsimd_thread_switch and its flags"
    ),
    "sve_to_fpsimd": Known(inlined=True, instead="its callers"),
    "fpsimd_to_sve": Known(inlined=True, instead="its callers"),
    "sve_sync_to_fpsimd": Known(until="effective"),
    "sve_sync_from_fpsimd_zeropad": Known(also=("fpsimd_sync_to_effective_state_zeropad",)),
    "fpsimd_sync_from_effective_state": Known(since="effective"),
    "fpsimd_signal_preserve_current_state": Known(until="sig-flush"),
    "do_sve_acc": Known(since="sve-host"),
    "do_sme_acc": Known(since="sme-host"),
    "vec_set_vector_length": Known(also=("sve_set_vector_length",), since="sve-host"),
    "change_live_vector_length": Known(
        since="vl-valid", inlined=True, instead="vec_set_vector_length"
    ),
    "sve_set_current_vl": Known(since="sve-host"),
    "sme_set_current_vl": Known(since="sme-host", config=_SME),
    "fpsimd_flush_thread_vl": Known(inlined=True, instead="fpsimd_flush_thread"),
    "fpsimd_release_task": Known(since="sve-host"),
    "task_smstop_sm": Known(since="sig-smstop", inlined=True, instead="its callers"),
    "fpsimd_cpu_pm_enter": Known(also=("fpsimd_cpu_pm_notifier",), config="CONFIG_CPU_PM"),
    "fpsimd_cpu_pm_exit": Known(also=("fpsimd_cpu_pm_notifier",), config="CONFIG_CPU_PM"),
    "sme_suspend_exit": Known(since="sme-resume", config=_SME),
    "fpsimd_cpu_dead": Known(config="CONFIG_HOTPLUG_CPU"),
    "cpu_suspend": Known(no_return=True),
    "cpu_up": Known(inlined=True, instead="the first event on that CPU"),
    "cpu_down": Known(inlined=True, instead="fpsimd_cpu_dead"),
    "__efi_fpsimd_begin": Known(config="CONFIG_EFI"),
    "__efi_fpsimd_end": Known(config="CONFIG_EFI"),
    "efi_call_virt": Known(unreachable=_MACRO, instead="__efi_fpsimd_begin, __efi_fpsimd_end"),
    "__arm_smccc_smc": Known(unreachable=_ASM),
    "__arm_smccc_sve_check": Known(since="smccc-hint", until="smccc-no-hint", unreachable=_ASM),
    # arch/arm64/kernel/process.c, kernel/exit.c
    "copy_thread_za": Known(since="clone-za", inlined=True, instead="copy_thread"),
    "do_exit": Known(no_return=True, instead="sched:sched_process_exit"),
    # arch/arm64/kernel/ptrace.c
    "__fpr_set": Known(inlined=True, instead="fpr_set"),
    "sve_init_header_from_task": Known(inlined=True, instead=_PTRACE),
    "sve_get_common": Known(also=("sve_get", "ssve_get"), inlined=True, instead=_PTRACE),
    "sve_set_common": Known(also=("sve_set", "ssve_set"), inlined=True, instead=_PTRACE),
    "za_get": Known(since="sme-host", config=_SME, instead=_PTRACE),
    "za_set": Known(since="sme-host", config=_SME, instead=_PTRACE),
    "zt_set": Known(since="sme2-host", config=_SME, instead=_PTRACE),
    "fpmr_set": Known(since="fpmr", instead=_PTRACE),
    # arch/arm64/kernel/signal.c
    "setup_rt_frame": Known(inlined=True, instead=_SIGNAL),
    "setup_sigframe": Known(inlined=True, instead=_SIGNAL),
    "setup_return": Known(inlined=True, instead=_SIGNAL),
    "restore_sigframe": Known(inlined=True, instead=_SIGRETURN),
    "restore_fpsimd_context": Known(inlined=True, instead=_SIGRETURN),
    "restore_sve_fpsimd_context": Known(inlined=True, instead=_SIGRETURN),
    "restore_tpidr2_context": Known(
        since="sme-host", config=_SME, inlined=True, instead=_SIGRETURN
    ),
    "restore_za_context": Known(since="sme-host", config=_SME, inlined=True, instead=_SIGRETURN),
    # arch/arm64/kvm/
    "kvm_arch_vcpu_load": Known(fields=_VCPU),
    "kvm_arch_vcpu_put": Known(fields=_VCPU),
    "kvm_arch_vcpu_load_fp": Known(since="kvm-fp-2018", fields=_VCPU),
    "kvm_arch_vcpu_put_fp": Known(since="kvm-fp-2018", fields=_VCPU),
    "kvm_arch_vcpu_ctxsync_fp": Known(since="kvm-fp-2018", fields=_VCPU),
    "kvm_arch_vcpu_ctxflush_fp": Known(since="drop-host-sve", fields=_VCPU),
    "kvm_arch_vcpu_run_pid_change": Known(
        also=("kvm_vcpu_first_run_init",), inlined=True, instead=_IOCTL
    ),
    "kvm_arch_vcpu_ioctl_vcpu_init": Known(inlined=True, instead=_IOCTL),
    "kvm_vcpu_enable_sve": Known(inlined=True, instead="kvm_reset_vcpu"),
    "kvm_get_reg_list": Known(unreachable=_MACRO, instead="kvm_arm_copy_reg_indices"),
    "get_sve_vls": Known(since="kvm-sve-guest", inlined=True, instead=_IOCTL),
    "set_sve_vls": Known(since="kvm-sve-guest", inlined=True, instead=_IOCTL),
    "kvm_fpsimd_flush_cpu_state": Known(
        also=("sve_flush_cpu_state",),
        since="sve-kvm-null",
        until="kvm-fp-2018",
        inlined=True,
        instead="kvm_entry",
    ),
    "kvm_arm_setup_mdcr_el2": Known(inlined=True, instead="kvm_arch_vcpu_load"),
    "trap_debug_regs": Known(inlined=True, instead=_EXIT),
    "update_pmuserenr": Known(
        since="pmuserenr-loaded", inlined=True, instead="sched:sched_switch, if perf is in use"
    ),
    "kvm_set_pmuserenr": Known(since="pmuserenr-loaded"),
    # arch/arm64/kvm/hyp/
    "__kvm_vcpu_run": Known(fields=_VCPU, instead="kvm_entry and kvm_exit"),
    "__kvm_vcpu_run_vhe": Known(no_kprobe=_SWITCH, inlined=True, instead=_RUN),
    "__guest_exit": Known(unreachable=_ASM, instead=_EXIT),
    "__activate_traps": Known(no_kprobe=_SWITCH, inlined=True, instead=_RUN),
    "__deactivate_traps": Known(no_kprobe=_SWITCH, inlined=True, instead=_EXIT),
    "__activate_traps_common": Known(no_kprobe=_SWITCH, inlined=True, instead=_RUN),
    "__deactivate_traps_common": Known(no_kprobe=_SWITCH, inlined=True, instead=_EXIT),
    "__debug_switch_to_guest": Known(no_kprobe=_SWITCH, inlined=True, instead=_RUN),
    "__debug_switch_to_host": Known(no_kprobe=_SWITCH, inlined=True, instead=_EXIT),
    "__debug_save_host_buffers_nvhe": Known(no_kprobe=_SWITCH, instead=_RUN),
    "__debug_restore_host_buffers_nvhe": Known(no_kprobe=_SWITCH, instead=_EXIT),
    "kvm_hyp_handle_fpsimd": Known(
        also=("__hyp_handle_fpsimd", "__hyp_switch_fpsimd"),
        no_kprobe=_SWITCH,
        inlined=True,
        instead=_USED,
    ),
    "kvm_hyp_save_fpsimd_host": Known(no_kprobe=_SWITCH, inlined=True, instead=_USED),
    "__hyp_sve_restore_guest": Known(no_kprobe=_SWITCH, inlined=True, instead=_USED),
    "update_fp_enabled": Known(
        since="kvm-fp-2018",
        until="drop-host-sve",
        no_kprobe=_SWITCH,
        inlined=True,
        instead=_RUN,
    ),
    "fpsimd_lazy_switch_to_guest": Known(
        since="eager-zcr", no_kprobe=_SWITCH, inlined=True, instead=_RUN
    ),
    "fpsimd_lazy_switch_to_host": Known(
        since="eager-zcr", no_kprobe=_SWITCH, inlined=True, instead=_EXIT
    ),
    "hyp_panic": Known(no_kprobe=_SWITCH, no_return=True, instead="the panic that follows"),
    "flush_hyp_vcpu": Known(since="pkvm-hyp-vcpu", inlined=True, instead="kvm_entry"),
    "sync_hyp_vcpu": Known(since="pkvm-hyp-vcpu", inlined=True, instead=_EXIT),
    "flush_hyp_vcpu_state": Known(since="pkvm-lazy-state", inlined=True, instead="kvm_entry"),
    "sync_hyp_vcpu_state": Known(since="pkvm-lazy-state", inlined=True, instead=_EXIT),
    "fpsimd_sve_sync": Known(since="pkvm-host-sve", inlined=True, instead=_EXIT),
    "psci_cpu_on": Known(inlined=True, instead="the first event on that CPU"),
    "__kvm_host_psci_cpu_entry": Known(
        also=("kvm_host_psci_cpu_entry",), instead="the first event on that CPU"
    ),
}

_LAST = "cpu_fp_state.{0}|fpsimd_last_state_struct.{0}"
_CURR = ("rq.curr",)
_NOP = 0xD503201F
_OWNER = ("kvm_host_data.fp_owner",)
_STATE = (
    Column("c", "x64", (Place("runqueues", _CURR),)),
    Column("p", "s32", (Place("runqueues", (*_CURR, _PID)),)),
    Column("f", "x64", (Place("runqueues", (*_CURR, _FLAGS)),)),
    Column("y", "u32", (Place("runqueues", (*_CURR, _TYPE)),)),
    Column("u", "u32", (Place("runqueues", (*_CURR, _CPU)),)),
    Column("l", "x64", (Place("fpsimd_last_state", ("",)),)),
    Column("s", "u32", (Place("fpsimd_last_state", (_LAST.format("to_save"),)),)),
    Column("v", "u32", (Place("fpsimd_last_state", (_LAST.format("sve_vl"),)),)),
    Column("r", "x64", (Place("kvm_running_vcpu", ("",)),)),
    Column(
        "o",
        "u32",
        (
            Place("kvm_running_vcpu", ("", "kvm_vcpu.arch.fp_state")),
            # host_data_ptr() in the kernel: hyp's copy, if protected mode does not hide it.
            Place("kvm_host_data", _OWNER, modes=("vhe", "protected")),
            Place("__kvm_nvhe_kvm_host_data", _OWNER, "hyp", ("nvhe", "hvhe")),
        ),
    ),
)


def kept_argument(code: tuple[int, ...], distance: int) -> str:
    """Where a function puts its first argument before it calls what is `distance` bytes on.

    `mov x19, x0` (to x28, which calls leave alone) up to the `bl`; '' if there is none.
    """
    register = ""
    for at, word in enumerate(code):
        if word & 0xFFFFFFE0 == 0xAA0003E0 and 19 <= word & 31 <= 28:  # orr xN, xzr, x0
            register = register or f"%x{word & 31}"
        elif word == 0x94000000 | (distance // 4 - at) & 0x3FFFFFF:  # bl
            return register
    return ""


def traced(code: tuple[int, ...]) -> bool:
    """Whether a function begins with the two `nop` that ftrace makes a call of, after any `bti c`.

    So since v5.5 (-fpatchable-function-entry). What is `inline` in the source is notrace, and has
    none, even where the compiler makes a function of it. Alternatives are `nop` as well, and a
    function may begin with two: it is what can be told without the table of the tracer's places.
    """
    return (_NOP, _NOP) in (code[:2], code[1:3])


PROBES = Probing(
    functions=kernel_functions(VheMachine, NvheMachine, HvheMachine, ProtectedMachine),
    own="fpsimd_thread_switch",
    known=KNOWN,
    argument=Column("a", "x64", (Place("%x0"),)),
    cpu=_STATE,
    events=("kvm:kvm_entry", "kvm:kvm_exit", "kvm:kvm_userspace_exit"),
    sections=(
        Section("__noinstr_text_start", "__noinstr_text_end", "noinstr"),
        Section("__entry_text_start", "__entry_text_end", "entry code"),
        Section("__kprobes_text_start", "__kprobes_text_end", "notrace, and part of kprobes"),
        Section("__hyp_text_start", "__hyp_text_end", "hyp code"),
    ),
    homes=(
        *("fpsimd_thread_switch", "copy_thread", "do_notify_resume", "restore_fpsimd_context"),
        *("fpr_set", "el0_svc", "do_el0_svc", "cpu_up", "wake_up_new_task", "armv8pmu_start"),
        *("kvm_arch_vcpu_load", "kvm_arch_vcpu_load_fp", "kvm_reset_vcpu"),
        *("kvm_arm_copy_reg_indices", "kvm_arm_setup_mdcr_el2", "__kvm_vcpu_run"),
        *("__kvm_nvhe___kvm_vcpu_run", "__kvm_nvhe_handle_trap", "__kvm_nvhe_psci_cpu_on"),
    ),
    hyp_prefix="__kvm_nvhe_",
    hyp_why="runs at EL2, where no tracer reaches",
    hyp_twins="Seen under VHE alone, since in other modes it is hyp that has them:",
    areas={
        "": Area("__per_cpu_offset"),
        "hyp": Area("__kvm_nvhe_kvm_arm_hyp_percpu_base", "__kvm_nvhe___per_cpu_start"),
    },
    anchor="_stext",
    traced=traced,
    # Two `nop` lie before the function too since v6.2 (for ftrace's ops), and there the place is.
    places=Places("__start_mcount_loc", "__stop_mcount_loc", (0, 4, -8)),
    kept=(Kept("%prev", "__switch_to", "fpsimd_thread_switch", kept_argument),),
    layout=(
        "task_struct.thread.uw.fpsimd_state|task_struct.thread.fpsimd_state",
        "kvm_vcpu.arch.ctxt.fp_regs|kvm_vcpu.arch.ctxt.gp_regs.fp_regs",
    ),
    facts=(
        ("sve_default_vl", "cat /proc/sys/abi/sve_default_vector_length 2>/dev/null"),
        ("sme_default_vl", "cat /proc/sys/abi/sme_default_vector_length 2>/dev/null"),
        ("kvm", "dmesg | grep -o '[A-Za-z]* [A-Za-z]* mode initialized'"),
    ),
)
