"""What in an image tells each fix of arm64: symbols, members, prototypes, calls.

A table, as long as fixes.py. The rules were held against the sources and images of Debian's
5.10, 6.1, 6.12 and 7.2, not against the diff of every commit. Names and members that no commit
of a fix added, but one of the same series did without which it makes no sense, are marked so by
`why`.
"""

from __future__ import annotations

from harness.model.evidence import (
    Calls,
    Clue,
    Evidence,
    Field,
    Has,
    InFile,
    Lacks,
    Loads,
    Member,
    Not,
    Option,
    Param,
    Params,
    Placed,
    Reads,
    Rule,
    Stores,
    Symbol,
    Value,
    Writes,
)

_LOAD, _PUT = "kvm_arch_vcpu_load_fp", "kvm_arch_vcpu_put_fp"
_SYNC, _FLUSH = "kvm_arch_vcpu_ctxsync_fp", "kvm_arch_vcpu_ctxflush_fp"
_SAVE_FLUSH = "fpsimd_save_and_flush_cpu_state"
_SAVE_FLUSH_CURRENT = "fpsimd_save_and_flush_current_state"
_RUN_NVHE = "__kvm_nvhe___kvm_vcpu_run"
_RUN_VHE = "__kvm_vcpu_run_vhe"
_HYP_MAIN = "__kvm_nvhe_handle_trap"
_BH_ON = "__local_bh_enable_ip"
_BIND = "fpsimd_bind_state_to_cpu"
_SVE, _SME = Symbol("sve_set_current_vl"), Symbol("sme_set_current_vl")  # built with it
# System call entry, by whatever name and however much of it is inlined.
_SYSCALL = ("el0_svc", "do_el0_svc", "el0t_64_sync_handler", "el0_sync_handler", "fp_user_discard")
_SETUP_FRAME = (
    "do_signal",
    "arch_do_signal_or_restart",
    "setup_rt_frame",
    "setup_sigframe",
    "setup_sigframe_layout",
    "setup_return",
    "preserve_sve_context",
)
_SIGRETURN = ("__arm64_sys_rt_sigreturn", "sys_rt_sigreturn", "restore_sigframe")
_TEST_AND_SET = ("test_and_set_ti_thread_flag", "test_and_set_thread_flag")
_SET_FLAG = ("set_ti_thread_flag", "set_thread_flag", "set_tsk_thread_flag")
_SETUP_DEBUG = ("kvm_arm_setup_debug",)
_PMU_NVHE = (_RUN_NVHE, "__kvm_nvhe___activate_traps", "__kvm_nvhe___activate_traps_common")


def _both(clue: Clue, why: str = "") -> Rule:
    """There if and only if an image that can tell says yes."""
    return Rule(((clue,),), ((Not(clue),),), why=why)


def _member(*places: tuple[str, str], why: str = "") -> Rule:
    """There if one of these members is there, not there if none is."""
    clues = [Member(*place) for place in places]
    return Rule(tuple((c,) for c in clues), (tuple(Not(c) for c in clues),), why=why)


RULES: dict[str, Rule] = {
    "lazy-reload": _both(Symbol("fpsimd_last_state")),
    "cpu-pm-last": Rule(
        (
            (Calls(("fpsimd_cpu_pm_notifier",), (_SAVE_FLUSH,), False),),
            (Calls(("fpsimd_cpu_pm_notifier",), ("fpsimd_flush_cpu_state",), False),),
        ),
    ),
    "hotplug-last": Rule(
        ((Symbol("fpsimd_cpu_dead"),), (Symbol("fpsimd_cpu_hotplug_notifier"),)),
        (
            (
                Symbol("__cpu_disable"),
                Not(Symbol("fpsimd_cpu_dead")),
                Not(Symbol("fpsimd_cpu_hotplug_notifier")),
            ),
        ),
        why="its address is taken, so it is not inlined; __cpu_disable: built with CPU hotplug",
    ),
    "neon-nonest": Rule(
        ((Symbol("kernel_neon_begin"), Not(Symbol("kernel_neon_begin_partial"))),),
        ((Symbol("kernel_neon_begin_partial"),),),
    ),
    "sve-host": _member(("thread_struct", "sve_state")),
    "sve-kvm-null": Rule(
        ((Symbol("sve_flush_cpu_state"),),),
        ((Lacks("kvm-fp-2018"), Not(Symbol("sve_flush_cpu_state"))),),
        within=("kvm-fp-2018",),
    ),
    "sve-dead-task": Rule(
        ((Member("fpsimd_last_state_struct", "sve_in_use"),),),
        ((Symbol("sve_flush_cpu_state"), Not(Member("fpsimd_last_state_struct", "sve_in_use"))),),
        within=("kvm-fp-2018",),
    ),
    "bind-factor": Rule(
        (
            (InFile("fpsimd_thread_switch", "fpsimd_bind_to_cpu"),),
            (InFile("fpsimd_thread_switch", "fpsimd_bind_task_to_cpu"),),
        ),
        within=("kvm-fp-2018",),
    ),
    "dead-leak": _both(Calls(("copy_thread", "copy_thread_tls"), ("fpsimd_flush_task_state",))),
    "sig-copy": Rule(
        ((Param("fpsimd_update_current_state", "struct user_fpsimd_state *"),),),
        why="what it takes has no `cpu` that could be copied",
    ),
    "kvm-fp-2018": Rule(
        ((Symbol(_LOAD),),),
        ((Symbol("kvm_arch_vcpu_load"), Not(Symbol(_LOAD))),),
    ),
    "kvm-trap-noncur": Rule(((Reads((_LOAD,), "CPACR_EL1"),),)),
    "kvm-tifsve-vcpu": Rule(
        ((Calls((_SYNC,), ("update_ti_thread_flag", "update_thread_flag"), False),),),
        within=("to-save",),
        why="since v5.2 it sets TIF_SVE for a guest that has SVE, else it clears it",
    ),
    "kvm-host-sve": Rule(within=("drop-host-sve",)),
    "flush-sets-foreign": Rule(((Calls((_SAVE_FLUSH,), _SET_FLAG, False),),)),
    "task-flush-foreign": Rule(
        ((Calls(("fpsimd_flush_task_state",), _SET_FLAG, False),),),
    ),
    "put-irqs": Rule(
        ((Reads((_PUT,), "DAIF"), Not(Calls((_PUT,), (_BH_ON,)))),),
        ((Calls((_PUT,), (_BH_ON,)),),),
    ),
    "kvm-sve-guest": _member(("kvm_vcpu_arch", "sve_state")),
    "nvhe-sve": Rule(
        ((Symbol("__kvm_nvhe___sve_restore_state"),),),
        (
            (
                Symbol("__kvm_nvhe___fpsimd_restore_state"),
                Not(Symbol("__kvm_nvhe___sve_restore_state")),
            ),
        ),
        why="assembly of one file, whatever is configured",
    ),
    "neon-bh": Rule(
        ((Calls(("kernel_neon_end",), (_BH_ON,)),),),
        (
            (
                Symbol("fpsimd_context_busy"),
                Not(Symbol("rt_spin_lock")),
                Not(Calls(("kernel_neon_end",), (_BH_ON,))),
            ),
        ),
        why="a kernel with PREEMPT_RT has preemption off instead",
    ),
    "sve-trap-inregs": Rule(
        ((Calls(("do_sve_acc", "sve_init_regs"), ("sve_flush_live",), False),),),
        (
            (
                Symbol("sve_save_state"),
                Not(Calls(("do_sve_acc", "sve_init_regs"), ("sve_flush_live",))),
            ),
        ),
        why="sve_save_state: built with SVE, and the SVE primitives are assembly",
    ),
    "smccc-hint": Rule(
        ((Symbol("__arm_smccc_sve_check"),), (Has("smccc-no-hint"),)),
        ((_SVE, Lacks("drop-host-sve"), Not(Symbol("__arm_smccc_sve_check"))),),
    ),
    "smccc-no-hint": Rule(
        ((_SVE, Has("drop-host-sve"), Not(Symbol("__arm_smccc_sve_check"))),),
        ((Symbol("__arm_smccc_sve_check"),), (Lacks("smccc-hint"),)),
        why="a kernel of v5.17 or later without the check has had it taken away",
    ),
    "drop-host-sve": Rule(
        ((Symbol(_FLUSH),),),
        ((Symbol(_LOAD), Not(Symbol(_FLUSH))),),
    ),
    "sve-flag-clear": Rule(within=("fp-tristate", "no-zen-restore")),
    "sme-host": _member(("thread_struct", "svcr")),
    "sme-kvm-load": Rule(
        ((Has("sme-host"), Reads((_LOAD,), "SVCR")),), within=("fp-tristate", "no-smen-restore")
    ),
    "sme-flag-clear": Rule(within=("fp-tristate", "no-smen-restore")),
    "sme-alloc-noflush": Rule(
        ((Params("sve_alloc", 2),),),
        ((Params("sve_alloc", 1),),),
    ),
    "fp-tristate": _member(("kvm_vcpu_arch", "fp_state"), ("kvm_host_data", "fp_owner")),
    "kvm-prepare": Rule(
        ((Symbol("fpsimd_kvm_prepare"),),),
        ((Not(Symbol("fpsimd_kvm_prepare")), Lacks("save-and-flush")),),
        within=("save-and-flush",),
    ),
    "fp-type": _member(("thread_struct", "fp_type")),
    "load-by-type": Rule(
        (
            (
                Has("fp-type"),
                Calls(("fpsimd_restore_current_state", "task_fpsimd_load"), _TEST_AND_SET, False),
            ),
        ),
        (
            (Lacks("fp-type"),),
            (
                Symbol("sve_save_state"),
                Not(
                    Calls(
                        ("fpsimd_restore_current_state", "task_fpsimd_load"), _TEST_AND_SET, False
                    )
                ),
            ),
        ),
        why="for an SVE image the load sets TIF_SVE and looks whether it was set",
    ),
    "to-save": Rule(
        ((Param(_BIND, "to_save"),), (Member("cpu_fp_state", "to_save"),)),
        ((Lacks("fp-type"),), (Not(Param(_BIND, "to_save")), Params(_BIND, 3))),
    ),
    "sve-stays-on": Rule(
        ((Calls(_SYSCALL, ("sve_flush_live",), False),),),
        (
            (
                Symbol("do_el0_svc"),
                Symbol("el0t_64_sync_handler"),
                Symbol("sve_flush_live"),
                Not(Calls(_SYSCALL, ("sve_flush_live",))),
            ),
            (
                Symbol("do_el0_svc"),
                Symbol("el0_sync_handler"),
                Symbol("sve_flush_live"),
                Not(Calls(_SYSCALL, ("sve_flush_live",))),
            ),
        ),
        why="where sve_flush_live is a symbol it is assembly, and built with SVE",
    ),
    "smen-isb": Rule(within=("no-smen-restore",)),
    "pmuserenr-restore": Rule(
        ((Reads(_PMU_NVHE, "PMUSERENR_EL0"),),),
        ((Writes((_RUN_NVHE,), "PMUSERENR_EL0"), Not(Reads(_PMU_NVHE, "PMUSERENR_EL0"))),),
        why="what is to be restored has to be read",
    ),
    "pmuserenr-loaded": Rule(
        ((Symbol("kvm_set_pmuserenr"),),),
        ((Symbol("kvm_vcpu_pmu_restore_guest"), Not(Symbol("kvm_set_pmuserenr"))),),
        why="both are of kvm/pmu.c, and not static",
    ),
    "pkvm-hyp-vcpu": Rule(
        ((Symbol("__kvm_nvhe_pkvm_load_hyp_vcpu"),),),
        ((Symbol(_RUN_NVHE), Not(Symbol("__kvm_nvhe_pkvm_load_hyp_vcpu"))),),
    ),
    "cptr-reset": Rule(
        ((Symbol("hvhe_possible"),),),
        ((Symbol("kvm_arch_vcpu_load"), Not(Symbol("hvhe_possible"))),),
        why="of the same series; its address is taken. Without hVHE there is no such rework",
    ),
    "sme-reset-smen": Rule(absent=((Lacks("sme-host"),),), within=("cptr-split",)),
    "vl-sve-storage": Rule(
        ((Calls(("vec_set_vector_length",), ("sve_alloc",), False),),),
        (
            (
                Symbol("sve_save_state"),
                Lacks("vl-valid"),
                Not(Calls(("vec_set_vector_length",), ("sve_alloc",), False)),
            ),
        ),
        within=("vl-valid",),
    ),
    "vl-before-alloc": Rule(within=("vl-valid",)),
    "vl-any-storage": Rule(within=("vl-valid",)),
    "vl-sme-target": Rule(within=("vl-valid",)),
    "sme-no-free": Rule(absent=((Lacks("sme-host"),),), within=("vl-valid",)),
    "ptrace-ssve-payload": Rule(absent=((Lacks("sme-host"),),)),
    "ptrace-errors": Rule(absent=((Lacks("sme-host"),),)),
    "ptrace-sme-only": Rule(absent=((Lacks("sme-host"),),)),
    "ptrace-v-streaming": Rule(within=("effective",)),
    "sme-only-sync": Rule(within=("effective",)),
    "ptrace-zt-flush": Rule(
        ((Calls(("zt_set",), ("fpsimd_flush_task_state",)),),),
        ((_SME, Not(Calls(("zt_set",), ("fpsimd_flush_task_state",)))),),
    ),
    "ptrace-zt-first-use": Rule(
        ((Calls(("zt_set",), ("sve_alloc",)),),),
        ((_SME, Not(Calls(("zt_set",), ("sve_alloc",)))),),
    ),
    "ptrace-partial": Rule(
        ((_SVE, Not(Calls(("sve_set",), ("fpsimd_sync_to_sve",)))),),
        ((Calls(("sve_set",), ("fpsimd_sync_to_sve",)),),),
        why="what it writes was brought up to date first, ever since there is sve_set()",
    ),
    "sig-sve-restore": Rule(
        ((Calls(("restore_sve_fpsimd_context",), ("sme_alloc",)),),),
        (
            (_SME, Not(Calls(("restore_sve_fpsimd_context",), ("sme_alloc",)))),
            (Lacks("sme-host"),),
        ),
    ),
    "sig-tpidr2": Rule(
        ((Writes(_SETUP_FRAME, "TPIDR2_EL0"),),),
        (
            (
                _SME,
                Symbol("arch_do_signal_or_restart"),
                Not(Writes(("arch_do_signal_or_restart",), "TPIDR2_EL0")),
            ),
        ),
    ),
    "sig-tpidr2-restore": Rule(
        ((Writes(_SIGRETURN, "TPIDR2_EL0"),),),
        ((_SME, Not(Writes(_SIGRETURN, "TPIDR2_EL0"))),),
    ),
    "ptrace-ssve-setup": Rule(((Params("sme_alloc", 2),),), ((Params("sme_alloc", 1),),)),
    "sme2-host": Rule(
        ((Member("thread_struct", "sme_state"),),),
        ((Member("thread_struct", "za_state"),), (Lacks("sme-host"),)),
        why="za_state was renamed in the same series, because ZT0 is kept there too",
    ),
    "sme-resume": Rule(
        ((Symbol("sme_suspend_exit"),),),
        ((_SME, Not(Symbol("sme_suspend_exit"))),),
        why="sme_set_current_vl: built with SME",
    ),
    "drop-busy-flag": Rule(
        (
            (
                Symbol("kernel_neon_begin"),
                Symbol("fpsimd_last_state"),
                Has("neon-nonest"),
                Not(Symbol("fpsimd_context_busy")),
                Not(Symbol("kernel_neon_busy")),
            ),
        ),
        ((Symbol("fpsimd_context_busy"),), (Symbol("kernel_neon_busy"),)),
    ),
    "flush-bh": Rule(
        ((Symbol("fpsimd_context_busy"), Calls((_SAVE_FLUSH,), (_BH_ON,))),),
        (
            (
                Symbol("fpsimd_context_busy"),
                Not(Calls((_SAVE_FLUSH,), (_BH_ON,))),
                Not(Reads((_SAVE_FLUSH,), "DAIF")),
            ),
            (Has("drop-busy-flag"),),
            (Lacks("save-and-flush"),),
        ),
        why="mends a backport to kernels that still have the flag",
    ),
    "flush-irqs": Rule(
        ((Symbol("fpsimd_context_busy"), Reads((_SAVE_FLUSH,), "DAIF"), Has("save-and-flush")),),
        (
            (Symbol("fpsimd_context_busy"), Not(Reads((_SAVE_FLUSH,), "DAIF"))),
            (Has("drop-busy-flag"),),
            (Lacks("save-and-flush"),),
        ),
        why="mends a backport to kernels that still have the flag",
    ),
    "kneon-preempt": _member(("thread_struct", "kernel_fpsimd_state")),
    "kneon-lazy": _member(("thread_struct", "kernel_fpsimd_cpu")),
    "sig-fptype": Rule(
        ((Has("fp-type"), Loads(_SETUP_FRAME, "task_struct", "thread.fp_type")),),
        (
            (Lacks("fp-type"),),
            (
                _SVE,
                Not(Loads(_SETUP_FRAME, "task_struct", "thread.fp_type")),
            ),
        ),
    ),
    "fpmr": _member(("thread_struct", "uw.fpmr")),
    "kneon-elide-fix": Rule(
        (
            (
                Has("kneon-preempt"),
                Calls(("fpsimd_thread_switch",), ("fpsimd_flush_cpu_state",), False),
            ),
        ),
        (
            (Lacks("kneon-preempt"),),
            (Not(Calls(("fpsimd_thread_switch",), ("fpsimd_flush_cpu_state",), False)),),
        ),
    ),
    "ptrace-fptype": Rule(
        ((Has("fp-type"), Loads(("sve_get", "sve_get_common"), "task_struct", "thread.fp_type")),),
        (
            (
                _SVE,
                Symbol("sve_get"),
                Not(Loads(("sve_get", "sve_get_common"), "task_struct", "thread.fp_type")),
            ),
        ),
    ),
    "hd-debug-state": Rule(
        ((Member("kvm_host_data", "host_debug_state"),),),
        ((Member("kvm_vcpu_arch", "host_debug_state"),),),
    ),
    "hd-mdcr": Rule(
        ((Member("kvm_host_data", "host_debug_state.mdcr_el2"),),),
        ((Member("kvm_vcpu_arch", "mdcr_el2_host"),),),
    ),
    "fp-owner": _member(("kvm_host_data", "fp_owner")),
    "owner-check": Rule(
        ((Has("fp-owner"), InFile(_PUT, "guest_owns_fp_regs")),),
        ((Not(InFile(_PUT, "guest_owns_fp_regs")),),),
    ),
    "pkvm-host-sve": _member(("kvm_host_data", "sve_state"), ("kvm_host_data", "sve_regs")),
    "pkvm-sme-refuse": Rule(
        ((Reads(("__kvm_nvhe_handle___kvm_vcpu_run", _HYP_MAIN), "SVCR"),),),
    ),
    "pkvm-lazy-state": Rule(
        ((Symbol("__kvm_nvhe_handle___pkvm_vcpu_sync_state"),),),
        (
            (
                Symbol("__kvm_nvhe_handle___kvm_vcpu_run"),
                Not(Symbol("__kvm_nvhe_handle___pkvm_vcpu_sync_state")),
            ),
        ),
        why="its address is taken, by the table of hypercalls",
    ),
    "pmu-strict": _member(
        ("kvm_arch", "pmmir_slots"), why="of the same series, without which it has no use"
    ),
    "sve-stale-cpu": Rule(
        (
            (
                Has("sve-trap-inregs"),
                Calls(("do_sve_acc", "sve_init_regs"), ("fpsimd_flush_task_state",), False),
            ),
        ),
        (
            (
                _SVE,
                Has("sve-trap-inregs"),
                Not(Calls(("do_sve_acc", "sve_init_regs"), ("fpsimd_flush_task_state",), False)),
            ),
        ),
        why="before sve-trap-inregs the call meant something else",
    ),
    "kvm-fpmr": _both(Value("vcpu_sysreg", "FPMR")),
    "ptrace-fpmr-partial": Rule(
        ((Loads(("fpmr_set",), "task_struct", "thread.uw.fpmr"),),),
        (
            (Lacks("fpmr"),),
            (Symbol("fpmr_set"), Not(Loads(("fpmr_set",), "task_struct", "thread.uw.fpmr"))),
        ),
    ),
    "cptr-scratch": Rule(
        ((Has("drop-host-sve"), Not(Member("kvm_vcpu_arch", "cptr_el2"))),),
        ((Member("kvm_vcpu_arch", "cptr_el2"),),),
        why="the member is of v5.15, so v5.17 and later without it have lost it",
    ),
    "debug-owner": _member(("kvm_vcpu_arch", "debug_owner")),
    "sve-alloc-size": Rule(
        ((Params("sve_alloc", 2),),),
        why="the second parameter came later, in the function as it was then",
    ),
    "vcpu-regs-split": _member(("kvm_cpu_context", "fp_regs")),
    "vcpu-features-checked": _member(
        ("kvm_arch", "vcpu_features"), why="what the next but one of the series added"
    ),
    "vcpu-power-off": _member(
        ("kvm_arch", "vcpu_features"), why="what the next one of the series added"
    ),
    "mdcr-entry": Rule(
        (
            (Writes(_SETUP_DEBUG, "MDCR_EL2"),),
            (Has("mdcr-at-load"),),
        ),
        ((Has("kvm-fp-2018"), Not(Writes(_SETUP_DEBUG, "MDCR_EL2")), Lacks("debug-owner")),),
        why="v5.6 wrote it in kvm_arm_setup_debug(), which is in a file of its own",
    ),
    "mdcr-init": Rule(
        ((Symbol("kvm_arm_vcpu_init_debug"),), (Has("mdcr-at-load"),)),
        ((Symbol("kvm_arm_setup_debug"), Not(Symbol("kvm_arm_vcpu_init_debug"))),),
        why="both are of kvm/debug.c, and not static",
    ),
    "mdcr-at-load": Rule(
        ((Has("debug-owner"), Not(Symbol("kvm_arm_setup_debug"))),),
        ((Symbol("kvm_arm_setup_debug"), Symbol("kvm_arm_vcpu_init_debug")),),
        why="the series took away what was done before each entry, and at the first run",
    ),
    "mdcr-host-vhe": Rule(
        ((Reads(("kvm_vcpu_load_debug",), "MDCR_EL2"),),),
        ((Symbol("kvm_vcpu_load_debug"), Not(Reads(("kvm_vcpu_load_debug",), "MDCR_EL2"))),),
        why="it is not static; before, hyp alone read MDCR_EL2",
    ),
    "pmscr-init-vhe": _both(Symbol("kvm_debug_init_vhe"), why="it came with it, and is not static"),
    "save-and-flush": Rule(
        (
            (
                Has("fp-type"),
                Not(Symbol("fpsimd_kvm_prepare")),
                Calls((_LOAD,), (_SAVE_FLUSH,)),
            ),
            (
                Not(_SME),
                Not(Symbol("fpsimd_kvm_prepare")),
                Calls((_LOAD,), (_SAVE_FLUSH,)),
            ),
        ),
        (
            (Symbol("fpsimd_kvm_prepare"),),
            (Symbol(_LOAD), Not(Calls((_LOAD,), (_SAVE_FLUSH,)))),
        ),
        why="for SME alone vcpu_load called it earlier, beside fpsimd_kvm_prepare()",
    ),
    "no-hyp-host-save": Rule(
        (
            (
                Has("save-and-flush"),
                Not(Member("kvm_vcpu_arch", "host_fpsimd_state")),
                Not(Member("kvm_host_data", "fpsimd_state")),
            ),
        ),
        (
            (Member("kvm_vcpu_arch", "host_fpsimd_state"),),
            (Member("kvm_host_data", "fpsimd_state"),),
        ),
    ),
    "no-zen-restore": Rule(
        (
            (
                _SVE,
                Has("save-and-flush"),
                Not(Reads((_LOAD,), "CPACR_EL1")),
                Not(Writes((_PUT,), "CPACR_EL1")),
            ),
        ),
        ((Lacks("save-and-flush"),),),
    ),
    "no-smen-restore": Rule(
        (
            (
                Has("save-and-flush"),
                Not(Reads((_LOAD,), "CPACR_EL1")),
                Not(Writes((_PUT,), "CPACR_EL1")),
                _SME,
            ),
        ),
        ((Lacks("save-and-flush"),),),
        why="a kernel that is built without SME does not show it",
    ),
    "cptr-split": Rule(
        (
            (InFile(_RUN_VHE, "__deactivate_cptr_traps"),),
            (InFile(_RUN_VHE, "__deactivate_cptr_traps_vhe"),),
        ),
        (
            (
                Not(InFile(_RUN_VHE, "__deactivate_cptr_traps")),
                Not(InFile(_RUN_VHE, "__deactivate_cptr_traps_vhe")),
            ),
        ),
        why="VHE's, since only that leaves another setting behind",
    ),
    "eager-zcr": Rule(
        ((InFile(_RUN_VHE, "fpsimd_lazy_switch_to_guest"),),),
        ((_SVE, Not(InFile(_RUN_VHE, "fpsimd_lazy_switch_to_guest"))),),
    ),
    "clone-preserve": _both(Calls(("arch_dup_task_struct",), (_SAVE_FLUSH_CURRENT,))),
    "clone-sm": _both(Calls(("arch_dup_task_struct",), ("task_smstop_sm",))),
    "clone-za": Rule(((InFile("copy_thread", "copy_thread_za"),),)),
    "sme-stale-cpu": Rule(
        ((Calls(("do_sme_acc",), ("fpsimd_flush_task_state",), False),),),
        ((Lacks("sme-host"),),),
    ),
    "fpmr-exec": Rule(
        ((Stores(("fpsimd_flush_thread",), "task_struct", "thread.uw.fpmr"),),),
        (
            (
                Has("fpmr"),
                Not(Stores(("fpsimd_flush_thread",), "task_struct", "thread.uw.fpmr")),
            ),
            (Lacks("fpmr"),),
        ),
    ),
    "sig-merge": Rule(
        (
            (
                Has("sig-flush"),
                Loads(("fpsimd_update_current_state",), "task_struct", "thread.fp_type"),
            ),
        ),
        ((Lacks("fp-type"),),),
        why="without sig-flush it loads the registers too, and a warning there reads fp_type",
    ),
    "sig-flush": Rule(
        ((Calls(_SIGRETURN, (_SAVE_FLUSH_CURRENT,)),),),
        (
            (Not(Symbol(_SAVE_FLUSH_CURRENT)),),
            (Not(Calls(_SIGRETURN, (_SAVE_FLUSH_CURRENT,))),),
        ),
        why="it is not static, and of another file",
    ),
    "sig-smstop": Rule(
        ((Calls(_SETUP_FRAME, ("task_smstop_sm",)),),),
        (
            (Not(Symbol("task_smstop_sm")),),
            (_SME, Not(Calls(_SETUP_FRAME, ("task_smstop_sm",)))),
        ),
        why="it is not static, and of another file; without SME nothing calls it",
    ),
    "discard-modified": Rule(
        (
            (InFile("do_el0_svc", "fpsimd_syscall_enter"),),
            (InFile("el0t_64_sync_handler", "fpsimd_syscall_enter"),),
        ),
        (
            (Lacks("sve-stays-on"),),
            (
                _SVE,
                Not(InFile("do_el0_svc", "fpsimd_syscall_enter")),
                Not(InFile("el0t_64_sync_handler", "fpsimd_syscall_enter")),
            ),
        ),
    ),
    "effective": Rule(
        ((Symbol("fpsimd_sync_to_effective_state_zeropad"),),),
        ((Symbol("sve_sync_from_fpsimd_zeropad"),),),
    ),
    "vl-stale": Rule(
        (
            (
                Calls(
                    ("vec_set_vector_length", "change_live_vector_length"),
                    ("fpsimd_sync_from_effective_state",),
                    False,
                ),
            ),
        ),
        ((Not(Symbol(_SAVE_FLUSH_CURRENT)),),),
        within=("vl-valid",),
        why="it calls that function too",
    ),
    "vl-valid": Rule(
        ((InFile("vec_set_vector_length", "change_live_vector_length"),),),
        (
            (Not(InFile("vec_set_vector_length", "change_live_vector_length")),),
            (Symbol("sve_set_vector_length"),),
        ),
    ),
    "neon-irqs-off": Rule(
        absent=(
            (
                Symbol("fpsimd_restore_current_state"),
                Not(Reads(("fpsimd_restore_current_state",), "DAIF")),
            ),
        ),
        why="whoever takes the context has to ask whether interrupts are off",
    ),
    "efi-buffers": Rule(
        ((Symbol("efi_fpsimd_state"), Not(Placed("efi_fpsimd_state", ".data..percpu"))),),
        ((Placed("efi_fpsimd_state", ".data..percpu"),),),
    ),
    "efi-kill": Rule(
        ((_SVE, Symbol("__efi_fpsimd_begin"), Not(Symbol("efi_sve_state_used"))),),
        ((Symbol("efi_sve_state_used"),),),
    ),
    "kneon-stack": Rule(
        ((Params("kernel_neon_begin", 1),),),
        ((Params("kernel_neon_begin", 0),),),
    ),
    "trbe-buffer-off": Rule(
        ((Member("kvm_host_data", "host_debug_state.trblimitr_el1"),),),
        (
            (
                Member("kvm_host_data", "host_debug_state.trfcr_el1"),
                Not(Member("kvm_host_data", "host_debug_state.trblimitr_el1")),
            ),
            (Member("kvm_vcpu_arch", "host_debug_state"),),
        ),
    ),
    "spe-buffer-off": Rule(
        ((Member("kvm_host_data", "host_debug_state.pmblimitr_el1"),),),
        (
            (
                Member("kvm_host_data", "host_debug_state.pmscr_el1"),
                Not(Member("kvm_host_data", "host_debug_state.pmblimitr_el1")),
            ),
            (Member("kvm_vcpu_arch", "host_debug_state"),),
        ),
    ),
    "simd-2026": Rule(
        ((Symbol("fpsimd_thread_switch"), Not(Symbol("fpsimd_save_state"))),),
        ((Symbol("fpsimd_save_state"),),),
        why="assembly before",
    ),
    "pkvm-host-ctxt": Rule(
        ((Member("kvm_host_data", "sve_regs"),),), ((Member("kvm_host_data", "sve_state"),),)
    ),
    "c1-pro-dvmsync": Rule(((Symbol("sme_do_dvmsync"),),)),
    "sme-guest": Rule(
        absent=((Member("kvm_vcpu_arch", "sve_state"), Not(Member("kvm_vcpu_arch", "sme_state"))),),
    ),
}

# What can be left out of a kernel, and with it all that a machine with it would show.
OPTIONS = (
    Option(
        "KVM",
        "",
        ((Symbol("kvm_arch_vcpu_load"),),),
        ((Not(Symbol("kvm_arch_vcpu_load")),),),
    ),
    Option(
        "SVE",
        "sve",
        ((_SVE,),),
        ((Not(_SVE),),),
    ),
    Option(
        "SME",
        "sme",
        ((_SME,),),
        ((Not(_SME),),),
    ),
)

STRUCTS = ("thread_struct", "kvm_vcpu_arch", "kvm_host_data", "cpu_fp_state")

# The model's names for what it keeps, and the kernel's, newest first.
FIELDS = (
    Field(
        "task.uw.fpsimd_state",
        ("task_struct.thread.uw.fpsimd_state", "task_struct.thread.fpsimd_state"),
    ),
    Field("task.fpmr", ("task_struct.thread.uw.fpmr",)),
    Field("task.sve_state", ("task_struct.thread.sve_state",)),
    Field("task.sme_state", ("task_struct.thread.sme_state", "task_struct.thread.za_state")),
    Field("task.svcr", ("task_struct.thread.svcr",)),
    Field("task.tpidr2_el0", ("task_struct.thread.tpidr2_el0",)),
    Field("task.fp_type", ("task_struct.thread.fp_type",)),
    Field(
        "task.fpsimd_cpu", ("task_struct.thread.fpsimd_cpu", "task_struct.thread.fpsimd_state.cpu")
    ),
    Field("task.vl", ("task_struct.thread.vl", "task_struct.thread.sve_vl")),
    Field("task.vl_onexec", ("task_struct.thread.vl_onexec", "task_struct.thread.sve_vl_onexec")),
    Field("task.kernel_fpsimd_state", ("task_struct.thread.kernel_fpsimd_state",)),
    Field("task.kernel_fpsimd_cpu", ("task_struct.thread.kernel_fpsimd_cpu",)),
    Field("task.flags", ("task_struct.thread_info.flags",)),
    Field("vcpu.fp_regs", ("kvm_vcpu.arch.ctxt.fp_regs",)),
    Field("vcpu.sve_state", ("kvm_vcpu.arch.sve_state",)),
    Field("vcpu.sve_max_vl", ("kvm_vcpu.arch.sve_max_vl",)),
    Field("vcpu.fp_type", ("kvm_vcpu.arch.fp_type",)),
    Field("vcpu.svcr", ("kvm_vcpu.arch.svcr",)),
    Field("vcpu.fp_state", ("kvm_vcpu.arch.fp_state",)),
    Field("vcpu.cptr_el2", ("kvm_vcpu.arch.cptr_el2",)),
    Field("vcpu.debug_owner", ("kvm_vcpu.arch.debug_owner",)),
    Field("vcpu.iflags", ("kvm_vcpu.arch.iflags", "kvm_vcpu.arch.flags")),
    Field("kvm_host_data.host_ctxt", ("kvm_host_data.host_ctxt",)),
    Field("kvm_host_data.fp_owner", ("kvm_host_data.fp_owner",)),
    Field("kvm_host_data.sve_state", ("kvm_host_data.sve_regs", "kvm_host_data.sve_state")),
    Field("kvm_host_data.fpmr", ("kvm_host_data.fpmr",)),
    Field("kvm_host_data.host_debug_state", ("kvm_host_data.host_debug_state",)),
    Field("fpsimd_last_state.st", ("cpu_fp_state.st", "fpsimd_last_state_struct.st")),
    Field(
        "fpsimd_last_state.to_save", ("cpu_fp_state.to_save", "fpsimd_last_state_struct.to_save")
    ),
    Field(
        "fpsimd_last_state.fp_type", ("cpu_fp_state.fp_type", "fpsimd_last_state_struct.fp_type")
    ),
)

EVIDENCE = Evidence(
    machine=183,  # EM_AARCH64
    rules=RULES,
    options=OPTIONS,
    structs=STRUCTS,
    fields=FIELDS,
    symbols=("kvm_host_data", "__kvm_nvhe_kvm_host_data"),
)
