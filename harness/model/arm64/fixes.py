"""The fixes of the arm64 model: what each changes, where it landed, who says so.

Ids, commits, titles and releases are upstream's; `what` is in our words. A
`refactor` is listed so that a backport can name it and be told what it needs,
but by its own account it changes no step, so it is no switch. A table, as long as history is.
"""

from __future__ import annotations

from harness.model.arm64.hybrids import HYBRIDS
from harness.model.catalogue import Build, Catalogue, Commit, Fix

CATALOGUE = Catalogue(
    (
        Fix(
            "lazy-reload",
            "rework",
            "v3.16",
            "a task's registers are loaded at each switch to it -> on its way to user space, if "
            "the CPU no longer holds them",
            (
                Commit(
                    "005f78cd8849",
                    "arm64: defer reloading a task's FPSIMD state to userland resume",
                ),
            ),
        ),
        Fix(
            "cpu-pm-last",
            "fix",
            "v3.17",
            "a CPU that loses power leaves fpsimd_last_state on the task it ran last -> set to "
            "NULL",
            (
                Commit(
                    "7c68a9cc0402",
                    "arm64: fix bug for reloading FPSIMD state after cpu power off",
                ),
            ),
            requires=("lazy-reload",),
            untagged="unseen",
        ),
        Fix(
            "hotplug-last",
            "fix",
            "v4.2",
            "a CPU that goes off line leaves fpsimd_last_state on the task it ran last, which may "
            "come back to it when it is on again -> set to NULL",
            (
                Commit(
                    "32365e64a20e",
                    "arm64: fix bug for reloading FPSIMD state after CPU hotplug.",
                ),
            ),
            requires=("lazy-reload",),
            untagged="none",
        ),
        Fix(
            "neon-nonest",
            "rework",
            "v4.14",
            "kernel-mode NEON in an interrupt puts the registers by and puts them back -> saves "
            "the task's state, and is not to be had where a section is interrupted",
            (
                Commit(
                    "cb84d11e1625",
                    "arm64: neon: Remove support for nested or hardirq kernel-mode NEON",
                ),
            ),
            requires=("lazy-reload",),
        ),
        Fix(
            "sve-host",
            "feature",
            "v4.15",
            "EL0 SVE is UNDEFINED -> TIF_SVE, do_sve_acc(), sve_state, discard at syscall",
            (Commit("bc0ee4760364", "arm64/sve: Core task context handling"),),
            requires=("neon-nonest",),
        ),
        Fix(
            "sve-kvm-null",
            "fix",
            "v4.15",
            "guest entry leaves fpsimd_last_state on a task whose SVE state KVM destroys -> "
            "set it to NULL if that task has TIF_SVE (read through the pointer)",
            (Commit("17eed27b02da", "arm64/sve: KVM: Prevent guests from using SVE"),),
            requires=("sve-host",),
            untagged="unseen",
        ),
        Fix(
            "sve-dead-task",
            "fix",
            "v4.15",
            "guest entry reads TIF_SVE through fpsimd_last_state, whose task may be dead -> "
            "a copy of the flag in fpsimd_last_state, and the pointer only compared",
            (
                Commit(
                    "cb968afc7898",
                    "arm64/sve: Avoid dereference of dead task_struct in KVM guest entry",
                ),
            ),
            requires=("sve-kvm-null", "bind-factor"),
            repairs=("17eed27b02da",),
        ),
        Fix(
            "bind-factor",
            "refactor",
            "v4.15",
            "open-coded binding of a task's state -> fpsimd_bind_to_cpu()",
            (
                Commit(
                    "8884b7bd7e52",
                    "arm64: fpsimd: Abstract out binding of task's fpsimd context to the cpu.",
                ),
            ),
            requires=("lazy-reload",),
        ),
        Fix(
            "null-always",
            "variant",
            None,
            "guest entry sets fpsimd_last_state to NULL for SVE tasks -> for every task",
            requires=("sve-kvm-null",),
        ),
        Fix(
            "dead-leak",
            "fix",
            "v4.15",
            "a forked child inherits fpsimd_state.cpu -> copy_thread() flushes the child",
            (Commit("071b6d4a5d34", "arm64: fpsimd: Prevent registers leaking from dead tasks"),),
            requires=("lazy-reload",),
            untagged="unseen",
        ),
        Fix(
            "sig-fpsimd-lost",
            "fix",
            "v4.15",
            "sigreturn takes V from the frame only for a task with TIF_SVE -> always",
            (
                Commit(
                    "9de52a755cfb",
                    "arm64: fpsimd: Fix failure to restore FPSIMD state after signals",
                ),
            ),
            requires=("sve-host",),
            untagged="unseen",
        ),
        Fix(
            "sig-copy",
            "fix",
            "v4.15",
            "sigreturn copies fpsimd_state with a `cpu` that nobody has set -> only what user "
            "space has of it",
            (
                Commit(
                    "a45448313706",
                    "arm64: fpsimd: Fix copying of FP state from signal frame into task struct",
                ),
            ),
            requires=("sig-fpsimd-lost",),
            repairs=("9de52a755cfb",),
        ),
        Fix(
            "no-mm-checks",
            "refactor",
            "v4.18",
            "kernel threads are told by task->mm -> by an fpsimd_cpu that matches no CPU",
            (Commit("df3fb9682045", "arm64: fpsimd: Eliminate task->mm checks"),),
        ),
        Fix(
            "flush-sets-foreign",
            "fix",
            "v4.18",
            "fpsimd_flush_cpu_state() leaves TIF_FOREIGN_FPSTATE clear -> sets it",
            (
                Commit(
                    "d8ad71fa38a9",
                    "arm64: fpsimd: Fix TIF_FOREIGN_FPSTATE after invalidating cpu regs",
                ),
            ),
            requires=("lazy-reload",),
            untagged="unseen",
        ),
        Fix(
            "kvm-fp-2018",
            "rework",
            "v4.18",
            "hyp saves and restores host V around each entry that used FP -> the host's own "
            "lazy switch: ownership in the vcpu, guest state bound to the CPU until vcpu_put",
            (
                Commit(
                    "e6b673b741ea",
                    "KVM: arm64: Optimise FPSIMD handling to reduce guest/host thrashing",
                ),
            ),
        ),
        Fix(
            "kvm-trap-noncur",
            "fix",
            "v4.18",
            "vcpu_put re-binds current to mend the EL0 SVE trap, which misses a task whose "
            "registers are still live -> restores the setting seen at vcpu_load",
            (
                Commit(
                    "b3eb56b629d1",
                    "KVM: arm64/sve: Fix SVE trap restoration for non-current tasks",
                ),
            ),
            requires=("kvm-fp-2018",),
            repairs=("e6b673b741ea",),
        ),
        Fix(
            "kvm-tifsve-vcpu",
            "fix",
            "v4.18",
            "the VMM's TIF_SVE says how a vcpu's registers are saved -> cleared while they are "
            "bound, restored at vcpu_put",
            (
                Commit(
                    "2955bcc8c309",
                    "KVM: arm64: Avoid mistaken attempts to save SVE state for vcpus",
                ),
            ),
            requires=("kvm-fp-2018",),
            untagged="unseen",
        ),
        Fix(
            "kvm-host-sve",
            "outside",
            "v4.18",
            "the host's SVE state is saved before entry -> by hyp, at the guest's first FP use; "
            "a system call has dropped it here",
            (
                Commit(
                    "85acda3b4a27",
                    "KVM: arm64: Save host SVE context as appropriate",
                ),
            ),
            requires=("kvm-fp-2018",),
        ),
        Fix(
            "put-irqs",
            "fix",
            "v4.18",
            "vcpu_put has softirqs on again at its end, also where the scheduler calls it -> "
            "has interrupts off instead",
            (
                Commit(
                    "b045e4d0f392",
                    "KVM: arm64: Don't mask softirq with IRQs disabled in vcpu_put()",
                ),
            ),
            requires=("kvm-fp-2018",),
            repairs=("e6b673b741ea",),
        ),
        Fix(
            "vcpu-reset-errno",
            "fix",
            "v5.8",
            "KVM_ARM_VCPU_INIT with SVE and what this CPU cannot have returns 0 and resets nothing "
            "-> EINVAL",
            (
                Commit(
                    "66b7e05dc023",
                    "KVM: arm64: Fix kvm_reset_vcpu() return code being incorrect with SVE",
                ),
            ),
            requires=("kvm-sve-guest",),
            repairs=("9a3cdf26e336",),
            link="20200617105456.28245-1-steven.price@arm.com",
        ),
        Fix(
            "vcpu-regs-split",
            "rework",
            "v5.9",
            "a vcpu's V, FPSR and FPCR are part of its struct kvm_regs, which KVM_ARM_VCPU_INIT "
            "zeroes -> a structure of their own, which it leaves alone",
            (Commit("e47c2055c68e", "KVM: arm64: Make struct kvm_regs userspace-only"),),
        ),
        Fix(
            "vcpu-reset-fp",
            "fix",
            "v5.13",
            "KVM_ARM_VCPU_INIT again leaves V, FPSR and FPCR as the guest had them -> zeroes them",
            (Commit("85d703746154", "KVM: arm64: Fully zero the vcpu state on reset"),),
            requires=("vcpu-regs-split",),
            repairs=("e47c2055c68e",),
            link="20210409173257.3031729-1-maz@kernel.org",
        ),
        Fix(
            "pmu-refused",
            "fix",
            "v5.11",
            "KVM_ARM_VCPU_PMU_V3 is granted where there is no PMU -> EINVAL",
            (
                Commit(
                    "77da43039ab5",
                    "KVM: arm64: Refuse illegal KVM_ARM_VCPU_PMU_V3 at reset time",
                ),
            ),
            untagged="unseen",
        ),
        Fix(
            "pmu-created",
            "fix",
            "v5.11",
            "a vcpu with KVM_ARM_VCPU_PMU_V3 runs without KVM_ARM_VCPU_PMU_V3_INIT, which creates "
            "its PMU -> KVM_RUN fails with EINVAL",
            (
                Commit(
                    "9bbfa4b56537",
                    "KVM: arm64: Refuse to run VCPU if PMU is not initialized",
                ),
            ),
            untagged="unseen",
        ),
        Fix(
            "psci-reset-first",
            "outside",
            "v5.15",
            "a vcpu that another one resets by PSCI's CPU_ON is reset at its next KVM_RUN, over "
            "what its VMM has set meanwhile -> before an ioctl of the VMM. PSCI is not modelled",
            (
                Commit(
                    "6654f9dfcb88",
                    "KVM: arm64: Fix read-side race on updates to vcpu reset state",
                ),
                Commit(
                    "6826c6849b46",
                    "KVM: arm64: Handle PSCI resets before userspace touches vCPU state",
                ),
            ),
        ),
        Fix(
            "vcpu-features-checked",
            "rework",
            "v6.5",
            "KVM_ARM_VCPU_INIT takes features bit by bit, and keeps those before one that it does "
            "not know (ENOENT) -> looks at all before it takes any",
            (
                Commit(
                    "a7a2c72ae014",
                    "KVM: arm64: Separate out feature sanitisation and initialisation",
                ),
            ),
        ),
        Fix(
            "core-reg-whole",
            "fix",
            "v4.19",
            "ONE_REG reads and writes any words of struct kvm_regs, across registers too -> a "
            "whole register, by its own size, or EINVAL",
            (
                Commit(
                    "d26c25a9d19b",
                    "arm64: KVM: Tighten guest core register access from userspace",
                ),
            ),
            untagged="unseen",
        ),
        Fix(
            "reg-list-core",
            "fix",
            "v5.2",
            "KVM_GET_REG_LIST gives an id of 64 bits for each 32-bit word of struct kvm_regs, and "
            "ONE_REG refuses those of V, FPSR and FPCR -> an id for each register",
            (
                Commit(
                    "df205b5c6328",
                    "KVM: arm64: Filter out invalid core register IDs in KVM_GET_REG_LIST",
                ),
            ),
            requires=("core-reg-whole",),
            repairs=("d26c25a9d19b",),
        ),
        Fix(
            "vm-width",
            "fix",
            "v5.13",
            "the vcpus of a VM can be of 32 and of 64 bits -> KVM_ARM_VCPU_INIT is EINVAL if "
            "another vcpu has another width, where one that is not initialised counts as 64 bits",
            (Commit("66e94d5cafd4", "KVM: arm64: Prevent mixed-width VM creation"),),
            untagged="none",
            link="20210524170752.1549797-1-maz@kernel.org",
        ),
        Fix(
            "vm-width-first",
            "fix",
            "v5.18",
            "no vcpu can be of 32 bits while another of its VM is not initialised -> the first "
            "that is initialised settles the width",
            (
                Commit(
                    "26bf74bd9f6f",
                    "KVM: arm64: mixed-width check should be skipped for uninitialized vCPUs",
                ),
            ),
            requires=("vm-width",),
            repairs=("66e94d5cafd4",),
            link="20220329031924.619453-2-reijiw@google.com",
        ),
        Fix(
            "vm-features",
            "rework",
            "v6.5",
            "the vcpus of a VM can have different features, apart from their width -> all have "
            "those of the first that is initialised, or KVM_ARM_VCPU_INIT is EINVAL",
            (
                Commit(
                    "2251e9ff1573",
                    "KVM: arm64: Make vCPU feature flags consistent VM-wide",
                ),
            ),
            requires=("vcpu-features-checked", "vm-width-first"),
        ),
        Fix(
            "vcpu-init-checked-first",
            "fix",
            "v6.7",
            "KVM_ARM_VCPU_INIT finds while it resets a vcpu that the host lacks SVE or a PMU, and "
            "if it refuses a vcpu for its PMU, that one keeps SVE -> before it does anything",
            (
                Commit(
                    "ef150908b6bd",
                    "KVM: arm64: Add generic check for system-supported vCPU features",
                ),
                Commit(
                    "9116db11feb5",
                    "KVM: arm64: Hoist PMUv3 check into KVM_ARM_VCPU_INIT ioctl handler",
                ),
                Commit(
                    "be9c0c018389",
                    "KVM: arm64: Hoist SVE check into KVM_ARM_VCPU_INIT ioctl handler",
                ),
            ),
            requires=("vcpu-features-checked",),
            untagged="unseen",
            link="20230920195036.1169791-3-oliver.upton@linux.dev",
        ),
        Fix(
            "sys-reg-copied-first",
            "rework",
            "v6.0",
            "KVM_SET_ONE_REG asks whether a vcpu has a system register, then reads the value -> it "
            "reads it first: a bad pointer is EFAULT, whatever the register",
            (Commit("978ceeb3e40c", "KVM: arm64: Consolidate sysreg userspace accesses"),),
            link="20220706164304.1582687-6-maz@kernel.org",
        ),
        Fix(
            "vcpu-power-off",
            "rework",
            "v6.5",
            "KVM_ARM_VCPU_POWER_OFF has to be the same at each KVM_ARM_VCPU_INIT -> is of one call",
            (
                Commit(
                    "e3c1c0cae31e",
                    "KVM: arm64: Relax invariance of KVM_ARM_VCPU_POWER_OFF",
                ),
            ),
            requires=("vcpu-features-checked",),
        ),
        Fix(
            "mdcr-entry",
            "fix",
            "v5.6",
            "under VHE a vcpu that is loaded keeps the MDCR_EL2 that it had when it was put, zero "
            "the first time, so nothing traps -> what has changed since is written before entry",
            (
                Commit(
                    "4942dc6638b0",
                    "KVM: arm64: Write arch.mdcr_el2 changes since last vcpu_load on VHE",
                ),
            ),
            requires=("kvm-fp-2018",),
            repairs=("d5a21bcc2995",),
        ),
        Fix(
            "mdcr-init",
            "fix",
            "v5.13",
            "under VHE the first vcpu_load of a vcpu puts zero into MDCR_EL2, up to the first "
            "entry -> what the guest is to run with",
            (
                Commit(
                    "263d6287da14",
                    "KVM: arm64: Initialize VCPU mdcr_el2 before loading it",
                ),
            ),
            requires=("kvm-fp-2018",),
            repairs=("d5a21bcc2995",),
            link="20210407144857.199746-3-alexandru.elisei@arm.com",
        ),
        Fix(
            "kvm-sve-guest",
            "feature",
            "v5.2",
            "guests have no SVE -> Z, P, FFR and ZCR_EL1 switched with FP on VHE",
            (
                Commit(
                    "73433762fcae",
                    "KVM: arm64/sve: System register context switch and access support",
                ),
                Commit("b43b5dd990eb", "KVM: arm64/sve: Context switch the SVE registers"),
                Commit(
                    "0495067420f3", "arm64/sve: Enable SVE state tracking for non-task contexts"
                ),
            ),
            requires=("kvm-fp-2018", "sve-host"),
            link="20190503124427.190206-14-marc.zyngier@arm.com",
        ),
        Fix(
            "task-flush-foreign",
            "refactor",
            "v5.2",
            "callers of fpsimd_flush_task_state() set TIF_FOREIGN_FPSTATE -> it does so itself",
            (
                Commit(
                    "efbc20249fee",
                    "arm64: fpsimd: Always set TIF_FOREIGN_FPSTATE on task state flush",
                ),
            ),
            requires=("lazy-reload",),
        ),
        Fix(
            "nvhe-sve",
            "feature",
            "v5.13",
            "KVM refuses SVE hardware without VHE -> nVHE switches SVE too, host SVE trapped "
            "to hyp after a guest's use until ZCR_EL2 is put right",
            (
                Commit("8c8010d69c13", "KVM: arm64: Save/restore SVE state for nVHE"),
                Commit(
                    "b145a8437aab",
                    "KVM: arm64: Save guest's ZCR_EL1 before saving the FPSIMD state",
                ),
                Commit("83857371d4cb", "KVM: arm64: Use {read,write}_sysreg_el1 to access ZCR_EL1"),
            ),
            requires=("kvm-sve-guest",),
            link="20210318122532.505263-11-maz@kernel.org",
        ),
        Fix(
            "neon-bh",
            "rework",
            "v5.13",
            "a softirq in kernel-mode NEON finds may_use_simd() false, and does without -> it "
            "waits until the registers are free",
            (
                Commit(
                    "13150149aa6d",
                    "arm64: fpsimd: run kernel mode NEON with softirqs disabled",
                ),
            ),
            requires=("neon-nonest",),
            link="20210302090118.30666-4-ardb@kernel.org",
        ),
        Fix(
            "sve-trap-inregs",
            "rework",
            "v5.13",
            "do_sve_acc() saves, converts in memory and reloads -> converts in the registers",
            (
                Commit(
                    "cccb78ce89c4",
                    "arm64/sve: Rework SVE access trap to convert state in registers",
                ),
            ),
            requires=("sve-host",),
        ),
        Fix(
            "smccc-hint",
            "feature",
            "v5.14",
            "SMCCC calls leave all registers alone -> a bit of the call tells the firmware that it "
            "may discard SVE state, if TIF_SVE is clear or TIF_FOREIGN_FPSTATE set",
            (Commit("cfa7ff959a78", "arm64: smccc: Support SMCCC v1.3 SVE register saving hint"),),
            requires=("sve-host",),
        ),
        Fix(
            "sve-alloc-size",
            "fix",
            "v5.15",
            "SVE storage that is there is zeroed by the size of the caller's, who may be a tracer: "
            "too little of it, or beyond its end -> by the size of the task's",
            (
                Commit(
                    "e35ac9d0b56e",
                    "arm64/sve: Use correct size when reinitialising SVE state",
                ),
            ),
            requires=("sve-host",),
            repairs=("bc0ee4760364",),
            link="20210909165356.10675-1-broonie@kernel.org",
        ),
        Fix(
            "drop-host-sve",
            "rework",
            "v5.17",
            "KVM saves the host's SVE state where in use -> BUG if TIF_SVE at vcpu_load, only "
            "V saved; HOST_SVE_ENABLED is set but never cleared; TIF_FOREIGN_FPSTATE is "
            "copied before each entry",
            (
                Commit("8383741ab2e7", "KVM: arm64: Get rid of host SVE tracking/saving"),
                Commit("af9a0e21d817", "KVM: arm64: Introduce flag shadowing TIF_FOREIGN_FPSTATE"),
                Commit("bee14bca735a", "KVM: arm64: Stop mapping current thread_info at EL2"),
            ),
            requires=("kvm-trap-noncur",),
            link="20211201120436.389756-3-maz@kernel.org",
        ),
        Fix(
            "sve-flag-clear",
            "fix",
            "v5.19",
            "HOST_SVE_ENABLED of an earlier vcpu_load survives -> cleared first",
            (Commit("d52d165d67c5", "KVM: arm64: Always start with clearing SVE flag on load"),),
            requires=("drop-host-sve",),
            repairs=("8383741ab2e7",),
            link="20220528113829.1043361-2-maz@kernel.org",
        ),
        Fix(
            "sme-host",
            "feature",
            "v5.19",
            "EL0 SME is UNDEFINED -> TIF_SME, do_sme_acc(), SVCR and ZA switched, SM left at "
            "syscall, SMSTOP when registers are flushed",
            (
                Commit(
                    "8bd7f91c03d8",
                    "arm64/sme: Implement traps and syscall handling for SME",
                ),
                Commit("0033cd933964", "arm64/sme: Implement ZA context switching"),
            ),
            requires=("sve-host", "sve-trap-inregs", "flush-sets-foreign"),
            link="20220419112247.711548-17-broonie@kernel.org",
        ),
        Fix(
            "efi-sme-ffr",
            "fix",
            "v5.19",
            "where there is SME, an EFI call in a hard interrupt keeps the FFR only in streaming "
            "mode, which has none, and PSTATE.SM only with the FFR -> each as it is",
            (Commit("2e990e63220b", "arm64/sme: Fix EFI save/restore"),),
            requires=("sme-host",),
            untagged="unseen",
        ),
        Fix(
            "sme-kvm-load",
            "fix",
            "v5.19",
            "a guest is entered with the host's PSTATE.SM and ZA -> vcpu_load saves and flushes "
            "if either is set; vcpu_put restores CPACR_EL1.SMEN",
            (Commit("861262ab8627", "KVM: arm64: Handle SME host state when running guests"),),
            requires=("sme-host",),
            untagged="none",
            link="20220419112247.711548-27-broonie@kernel.org",
        ),
        Fix(
            "sme-trap-guest",
            "fix",
            "v5.19",
            "a guest reaches SMPRI_EL1, TPIDR2_EL0 and SME itself where the host has opened them "
            "-> trapped: nVHE by CPTR_EL2.TSM and HFGRTR_EL2, VHE by CPACR_EL1.SMEN (and by "
            "SCTLR_EL2.EnTP2, which governs no guest)",
            (Commit("51729fb1d068", "KVM: arm64: Trap SME usage in guest"),),
            requires=("sme-host",),
            untagged="none",
            link="20220419112247.711548-26-broonie@kernel.org",
        ),
        Fix(
            "sme-flag-clear",
            "fix",
            "v5.19",
            "HOST_SME_ENABLED of an earlier vcpu_load survives -> cleared first",
            (Commit("039f49c4cafb", "KVM: arm64: Always start with clearing SME flag on load"),),
            requires=("sme-kvm-load",),
            repairs=("861262ab8627",),
            link="20220528113829.1043361-3-maz@kernel.org",
        ),
        Fix(
            "sme-alloc-noflush",
            "fix",
            "v6.0",
            "do_sme_acc() zeroes sve_state, which may hold the task's only copy -> keeps it",
            (
                Commit(
                    "826a4fdd2ada",
                    "arm64/sme: Don't flush SVE register state when allocating SME storage",
                ),
                Commit(
                    "714f3cbd70a4",
                    "arm64/sme: Don't flush SVE register state when handling SME traps",
                ),
            ),
            requires=("sme-host",),
            repairs=("8bd7f91c03d8",),
        ),
        Fix(
            "sig-sm-zero",
            "fix",
            "v6.0",
            "delivery of a signal in streaming mode leaves V in memory as it was, to be loaded if "
            "the registers are foreign -> zeroed (with FPSR and FPCR)",
            (
                Commit(
                    "ea64baacbc36",
                    "arm64/signal: Flush FPSIMD register state when disabling streaming mode",
                ),
            ),
            requires=("sme-host",),
            repairs=("40a8e87bb328",),
            link="20220817182324.638214-3-broonie@kernel.org",
        ),
        Fix(
            "fp-tristate",
            "refactor",
            "v6.0",
            "FP_HOST and FP_ENABLED -> fp_state FREE, HOST_OWNED, GUEST_OWNED",
            (
                Commit(
                    "f8077b0d5923", "KVM: arm64: Move FP state ownership from flag to a tristate"
                ),
                Commit(
                    "e9ada6c208c1", "KVM: arm64: Drop FP_FOREIGN_STATE from the hypervisor code"
                ),
                Commit("0affa37fcd1d", "KVM: arm64: Move vcpu SVE/SME flags to the state flag set"),
            ),
            requires=("kvm-fp-2018",),
            link="20220610092838.1205755-5-maz@kernel.org",
        ),
        Fix(
            "sme-fgt-vhe",
            "fix",
            "v6.1",
            "VHE leaves SMPRI_EL1 and TPIDR2_EL0 open to guests -> closed by HFGRTR_EL2, as under "
            "nVHE",
            (Commit("4151bb636acf", "KVM: arm64: Fix SMPRI_EL1/TPIDR2_EL0 trapping on VHE"),),
            requires=("sme-trap-guest",),
            repairs=("861262ab8627",),
            link="86bkpqer4z.wl-maz@kernel.org",
        ),
        Fix(
            "kvm-prepare",
            "rework",
            "v6.2",
            "BUG if TIF_SVE at vcpu_load -> fpsimd_kvm_prepare() clears TIF_SVE and makes the "
            "memory image FPSIMD, EL0's access stays open",
            (
                Commit(
                    "93ae6b01bafe",
                    "KVM: arm64: Discard any SVE state when entering KVM guests",
                ),
            ),
            requires=("drop-host-sve",),
            link="20221115094640.112848-2-broonie@kernel.org",
        ),
        Fix(
            "fp-type",
            "rework",
            "v6.2",
            "TIF_SVE says which image is valid -> thread.fp_type records it at each save",
            (
                Commit(
                    "baa8515281b3",
                    "arm64/fpsimd: Track the saved FPSIMD state type separately to TIF_SVE",
                ),
            ),
            link="20221115094640.112848-3-broonie@kernel.org",
        ),
        Fix(
            "load-by-type",
            "rework",
            "v6.2",
            "task_fpsimd_load() chooses the image by TIF_SVE and SVCR.SM -> by fp_type, and "
            "sets or clears TIF_SVE to match; ptrace brings V up to date by fp_type too",
            (
                Commit("a0136be443d5", "arm64/fpsimd: Load FP state based on recorded data type"),
                Commit("bbc6172eefdb", "arm64/fpsimd: SME no longer requires SVE register state"),
            ),
            requires=("fp-type",),
            link="20221115094640.112848-6-broonie@kernel.org",
        ),
        Fix(
            "to-save",
            "rework",
            "v6.2",
            "KVM sets TIF_SVE to say how guest registers are saved -> "
            "fpsimd_last_state.to_save says it",
            (
                Commit(
                    "deeb8f9a80fd",
                    "arm64/fpsimd: Have KVM explicitly say which FP registers to save",
                ),
                Commit(
                    "62021cc36add",
                    "arm64/fpsimd: Stop using TIF_SVE to manage register saving in KVM",
                ),
                Commit(
                    "1192b93ba352",
                    "arm64/fp: Use a struct to pass data to fpsimd_bind_state_to_cpu()",
                ),
            ),
            requires=("kvm-prepare", "fp-type"),
            link="20221115094640.112848-4-broonie@kernel.org",
        ),
        Fix(
            "sve-stays-on",
            "rework",
            "v6.2",
            "a syscall clears TIF_SVE and traps SVE -> zeroes the registers above V and keeps "
            "both; a save during the syscall drops SVE",
            (
                Commit(
                    "8c845e273104",
                    "arm64/sve: Leave SVE enabled on syscall if we don't context switch",
                ),
            ),
            requires=("fp-type",),
            link="20221115094640.112848-8-broonie@kernel.org",
        ),
        Fix(
            "recorded-no-bug",
            "variant",
            None,
            "(only in a kernel rebuilt to be recorded: 6.1.192 made to behave as v6.1) a BUG if "
            "TIF_SVE is set at vcpu_load, and to_save is not written for a vcpu -> no BUG; it is "
            "written, and no save looks at it",
            requires=("fp-type",),
        ),
        Fix(
            "discard-closes-sve",
            "variant",
            None,
            "(only in a kernel rebuilt to be recorded: 6.1.192 made to behave as v6.2) SVE that is "
            "open at EL0 without TIF_SVE stays so over a system call -> is closed by it",
            requires=("sve-stays-on",),
        ),
        Fix(
            "trap-sve-v1",
            "variant",
            None,
            "fpsimd_kvm_prepare(): also closes EL0's SVE access and sets fp_type, if the "
            "registers are live and TIF_SVE is set",
            requires=("sve-stays-on",),
            link="20250121100026.3974971-1-mark.rutland@arm.com",
        ),
        Fix(
            "hyp-fptype",
            "variant",
            None,
            "hyp saves the host's V and leaves fp_type -> sets fp_type to FP_STATE_FPSIMD",
            requires=("kvm-prepare", "fp-type"),
            link="86plkful48.wl-maz@kernel.org",
        ),
        Fix(
            "hyp-saves-sve",
            "variant",
            None,
            "vcpu_load clears TIF_SVE, and hyp saves the host's V -> TIF_SVE stays; hyp saves Z, P "
            "and FFR where it is set, and says so in fp_type; svcr is saved as well",
            requires=("hyp-fptype",),
            link="86plkful48.wl-maz@kernel.org",
        ),
        Fix(
            "smen-isb",
            "fix",
            "v6.3",
            "vcpu_put opens SMEN, and SVCR is read before that need have an effect -> ISB between",
            (Commit("59d78a2ec0e9", "KVM: arm64: Synchronize SMEN on vcpu schedule out"),),
            requires=("sme-kvm-load",),
            untagged="none",
            link="20221220105024.13484-1-dongbo4@huawei.com",
        ),
        Fix(
            "sme-clarify",
            "refactor",
            "v6.4",
            "message: defer ZA that has been saved already; diff: comments only",
            (Commit("aaa2f14e6f3f", "KVM: arm64: Clarify host SME state management"),),
            requires=("sme-kvm-load",),
        ),
        Fix(
            "vcpu-flags-atomic",
            "outside",
            "v6.3",
            "an update of a vcpu's flags can be preempted in its middle, and then loses what "
            "vcpu_put and vcpu_load have set (HOST_SVE_ENABLED, DEBUG_STATE_SAVE_SPE) -> cannot. "
            "A preemption within such an update is not modelled",
            (Commit("35dcb3ac663a", "KVM: arm64: Make vcpu flag updates non-preemptible"),),
        ),
        Fix(
            "pmuserenr-restore",
            "fix",
            "v6.4",
            "after a guest PMUSERENR_EL0 is zero, whatever the host had there -> saved in "
            "kvm_host_data.host_ctxt and restored",
            (Commit("8681f7175901", "KVM: arm64: PMU: Restore the host's PMUSERENR_EL0"),),
            repairs=("83a7a4d643d3",),
            link="20230603025035.3781797-2-reijiw@google.com",
        ),
        Fix(
            "pmuserenr-loaded",
            "fix",
            "v6.4",
            "under VHE perf writes PMUSERENR_EL0 also while a guest's is on the CPU -> the change "
            "goes to host_ctxt, and to the CPU at vcpu_put",
            (
                Commit(
                    "0c2f9acf6ae7", "KVM: arm64: PMU: Don't overwrite PMUSERENR with vcpu loaded"
                ),
            ),
            requires=("pmuserenr-restore",),
            repairs=("83a7a4d643d3",),
            link="20230603025035.3781797-3-reijiw@google.com",
        ),
        Fix(
            "pkvm-hyp-vcpu",
            "refactor",
            "v6.2",
            "protected mode: hyp runs the host's vcpu -> a copy of its own, filled at each entry "
            "and given back at each exit",
            (
                Commit(
                    "be66e67f1750",
                    "KVM: arm64: Use the pKVM hyp vCPU structure in handle___kvm_vcpu_run()",
                ),
            ),
        ),
        Fix(
            "cptr-reset",
            "rework",
            "v6.5",
            "vcpu->arch.cptr_el2 is a constant -> made at KVM_ARM_VCPU_INIT, with TZ if the "
            "owner left behind by an earlier run is the guest",
            (
                Commit(
                    "75c76ab5a641",
                    "KVM: arm64: Rework CPTR_EL2 programming for HVHE configuration",
                ),
            ),
            requires=("kvm-fp-2018",),
            link="20230609162200.2024064-14-maz@kernel.org",
        ),
        Fix(
            "sme-reset-smen",
            "fix",
            "v6.5",
            "VHE hyp leaves the host with CPACR_EL1.SMEN = 0b00, so the kernel's own SME "
            "accesses trap until vcpu_put -> 0b01",
            (
                Commit(
                    "375110ab51de",
                    "KVM: arm64: Fix resetting SME trap values on reset for (h)VHE",
                ),
            ),
            requires=("sme-host",),
            untagged="unseen",
        ),
        Fix(
            "defer-za",
            "variant",
            None,
            "vcpu_load saves and flushes for ZA -> leaves ZA on if current's state is not in "
            "the registers, until the guest's first FP use (as the message of aaa2f14e6f3f says)",
            requires=("sme-clarify",),
        ),
        Fix(
            "vl-sve-storage",
            "fix",
            "v6.5",
            "a change of the SVE vector length frees sve_state, which streaming mode may need "
            "without a trap -> allocated anew at once; SME starts again if neither SM nor ZA "
            "is set",
            (
                Commit(
                    "d4d5be94a878",
                    "arm64/fpsimd: Ensure SME storage is allocated after SVE VL changes",
                ),
            ),
            requires=("sve-host",),
            repairs=("9e4ab6c89109",),
            link="20230720-arm64-fix-sve-sme-vl-change-v2-1-8eea06b82d57@kernel.org",
        ),
        Fix(
            "vl-before-alloc",
            "fix",
            "v6.5",
            "a new vector length is set after its buffer is allocated, whose size goes by the old "
            "one -> before",
            (Commit("05d881b85b48", "arm64/sme: Set new vector length before reallocating"),),
            requires=("vl-sve-storage",),
            repairs=("d4d5be94a878",),
        ),
        Fix(
            "ffr-pfalse",
            "fix",
            "v6.5",
            "a save in streaming mode without FA64 clears 8 bytes for the FFR, which may be beyond "
            "the end of the buffer, or not all of it -> as many as the vector length has",
            (
                Commit(
                    "893b24181b4c",
                    "arm64: sme: Use STR P to clear FFR context field in streaming SVE mode",
                ),
            ),
            requires=("sme-host",),
            repairs=("9f5848665788",),
        ),
        Fix(
            "vl-any-storage",
            "fix",
            "v6.8",
            "sve_state is allocated anew at a change of length only where there is SVE -> always",
            (Commit("8410186ca480", "arm64/fpsimd: Remove spurious check for SVE support"),),
            requires=("vl-sve-storage",),
            untagged="unseen",
        ),
        Fix(
            "vl-sme-target",
            "fix",
            "v6.5",
            "a tracer that changes the SME vector length loses its own TIF_SME -> the tracee "
            "loses its",
            (
                Commit(
                    "c9bb40b7f786",
                    "arm64/fpsimd: Clear SME state in the target task when setting the VL",
                ),
            ),
            requires=("sme-host",),
            repairs=("e12310a0d30f",),
            link="20230803-arm64-fix-ptrace-tif-sme-v1-1-88312fd6fbfd@kernel.org",
        ),
        Fix(
            "ptrace-ssve-setup",
            "fix",
            "v6.5",
            "a tracer's NT_ARM_SSVE sets PSTATE.SM alone -> TIF_SME and storage for ZA too",
            (
                Commit(
                    "5d0a8d2fba50",
                    "arm64/ptrace: Ensure that SME is set up for target when writing SSVE state",
                ),
            ),
            requires=("sme-host",),
            repairs=("e12310a0d30f",),
            link="20230810-arm64-fix-ptrace-race-v1-1-a5361fad2bd6@kernel.org",
        ),
        Fix(
            "sme-alloc-keep",
            "fix",
            "v6.8",
            "sme_alloc() replaces storage that it is asked to keep, so NT_ARM_SSVE zeroes ZA "
            "-> keeps it",
            (
                Commit(
                    "dc7eb8755797", "arm64/sme: Always exit sme_alloc() early with existing storage"
                ),
            ),
            requires=("ptrace-ssve-setup",),
            repairs=("5d0a8d2fba50",),
            link="20240115-arm64-sme-flush-v1-1-7472bd3459b7@kernel.org",
        ),
        Fix(
            "sme2-host",
            "feature",
            "v6.3",
            "ZT0 is not accessible at EL0 -> SMCR_ELx.EZT0 is set, ZT0 saved and loaded with ZA",
            (
                Commit("d4913eee152d", "arm64/sme: Add basic enumeration for SME2"),
                Commit("95fcec713259", "arm64/sme: Implement context switching for ZT0"),
            ),
            requires=("sme-host",),
            link="20221208-arm64-sme2-v4-10-f2fa0aef982f@kernel.org",
        ),
        Fix(
            "ptrace-zt-flush",
            "fix",
            "v6.5",
            "a tracer's NT_ARM_ZT is lost where the tracee's registers are live -> they are "
            "flushed",
            (Commit("89a65c3f170e", "arm64/ptrace: Flush FP state when setting ZT0"),),
            requires=("sme2-host",),
            repairs=("f90b529bcbe5",),
            link="20230803-arm64-fix-ptrace-zt0-flush-v1-1-72e854eaf96e@kernel.org",
        ),
        Fix(
            "ptrace-zt-first-use",
            "fix",
            "v6.5",
            "a tracer's NT_ARM_ZT sets PSTATE.ZA alone -> TIF_SME and storage for Z too",
            (
                Commit(
                    "2f43f549cd0b", "arm64/ptrace: Ensure that the task sees ZT writes on first use"
                ),
            ),
            requires=("sme2-host",),
            repairs=("f90b529bcbe5",),
            link="20230816-arm64-zt-ptrace-first-use-v2-1-00aa82847e28@kernel.org",
        ),
        Fix(
            "ptrace-za-keep-zt",
            "fix",
            "v6.8",
            "a tracer's NT_ARM_ZA zeroes ZT0 -> does not, where ZA is on",
            (
                Commit(
                    "b7c510d04904",
                    "arm64/ptrace: Don't flush ZA/ZT storage when writing ZA via ptrace",
                ),
            ),
            requires=("sme2-host",),
            repairs=("f90b529bcbe5",),
            link="20240115-arm64-fix-ptrace-za-zt-v1-1-48617517028a@kernel.org",
        ),
        Fix(
            "sig-tpidr2-restore",
            "fix",
            "v6.5",
            "sigreturn restores TPIDR2_EL0 to memory, which the register overwrites -> to the "
            "register",
            (
                Commit(
                    "616cb2f4b141", "arm64/signal: Restore TPIDR2 register rather than memory state"
                ),
            ),
            requires=("sme-host",),
            repairs=("39e54499280f",),
            link="20230621-arm64-fix-tpidr2-signal-restore-v2-1-c8e8fcc10302@kernel.org",
        ),
        Fix(
            "sig-sme-only",
            "fix",
            "v6.2",
            "without SVE signal frames have no SVE record, and streaming registers are lost "
            "-> they have one",
            (
                Commit(
                    "f26cd7372160",
                    "arm64/signal: Always allocate SVE signal frames on SME only systems",
                ),
                Commit(
                    "7dde62f0687c",
                    "arm64/signal: Always accept SVE signal frames on SME only systems",
                ),
            ),
            requires=("sme-host",),
            repairs=("85ed24dad290",),
            link="20221223-arm64-fix-sme-only-v1-3-938d663f69e5@kernel.org",
        ),
        Fix(
            "ptrace-v-streaming",
            "fix",
            "v6.5",
            "a tracer's V is lost to a task in streaming mode, whose sve_state is taken for "
            "current by TIF_SVE alone -> by PSTATE.SM too",
            (
                Commit(
                    "69af56ae56a4", "arm64/fpsimd: Sync and zero pad FPSIMD state for streaming SVE"
                ),
            ),
            requires=("sme-host",),
            repairs=("e12310a0d30f",),
            link="20230803-arm64-fix-ptrace-ssve-no-sve-v1-3-49df214bfb3e@kernel.org",
        ),
        Fix(
            "sme-only-sync",
            "fix",
            "v6.5",
            "V of a task in streaming mode is not brought up to date where there is no SVE -> "
            "it is",
            (
                Commit(
                    "507ea5dd92d2", "arm64/fpsimd: Sync FPSIMD state with SVE for SME only systems"
                ),
            ),
            requires=("sme-host",),
            repairs=("e12310a0d30f",),
            link="20230803-arm64-fix-ptrace-ssve-no-sve-v1-2-49df214bfb3e@kernel.org",
        ),
        Fix(
            "ptrace-ssve-no-sve",
            "fix",
            "v6.5",
            "a tracer's NT_ARM_SSVE sets TIF_SVE, and the next load ZCR_EL1, even where there "
            "is no SVE -> it does not",
            (Commit("045aecdfcb2e", "arm64/ptrace: Don't enable SVE when setting streaming SVE"),),
            requires=("sme-host",),
            repairs=("e12310a0d30f",),
            link="20230803-arm64-fix-ptrace-ssve-no-sve-v1-1-49df214bfb3e@kernel.org",
        ),
        Fix(
            "sme-resume",
            "fix",
            "v6.8",
            "after a suspend that lost power SMCR_EL1 is what reset made of it, so FA64 is off at "
            "EL1, and ZT0 -> written anew (with SMPRI_EL1, which is not modelled)",
            (
                Commit("9533864816fb", "arm64/sme: Restore SME registers on exit from suspend"),
                Commit("d7b77a0d565b", "arm64/sme: Restore SMCR_EL1.EZT0 on exit from suspend"),
            ),
            requires=("sme-host",),
            repairs=("a1f4ccd25cc2", "d4913eee152d"),
            link="20240213-arm64-sme-resume-v3-1-17e05e493471@kernel.org",
        ),
        Fix(
            "drop-busy-flag",
            "rework",
            "v6.8",
            "fpsimd_context_busy tells a softirq that the registers are being handled -> no "
            "softirq can come then: fpsimd_save_and_flush_cpu_state() has interrupts off",
            (Commit("9b19700e623f", "arm64: fpsimd: Drop unneeded 'busy' flag"),),
            requires=("neon-bh",),
        ),
        Fix(
            "flush-bh",
            "stable",
            None,
            "fpsimd_save_and_flush_cpu_state(), which save-and-flush calls with softirqs on, "
            "leaves them on -> off",
            (
                Commit(
                    "23249dade24e",
                    "KVM: arm64: Fix kernel BUG() due to bad backport of FPSIMD/SVE/SME fix",
                ),
                Commit(
                    "8f4dc4e54eed",
                    "KVM: arm64: Fix kernel BUG() due to bad backport of FPSIMD/SVE/SME fix",
                ),
                Commit(
                    "28b82be094e2",
                    "KVM: arm64: Fix kernel BUG() due to bad backport of FPSIMD/SVE/SME fix",
                ),
            ),
            requires=("save-and-flush", "neon-bh"),
            repairs=(
                "5289ac43b69c",
                "04c50cc23a49",
                "806d5c1e1d2e",
            ),  # fbc7e61195e2 in 5.15, 6.1, 6.6
            link="20250826110940.538650326@linuxfoundation.org",
        ),
        Fix(
            "flush-irqs",
            "stable",
            None,
            "fpsimd_save_and_flush_cpu_state() has softirqs on again at its end, also under the "
            "runqueue lock -> has interrupts off",
            requires=("flush-bh",),
            repairs=("23249dade24e",),
            link="20251003183917.4209-1-will@kernel.org",
        ),
        Fix(
            "kneon-preempt",
            "feature",
            "v6.8",
            "kernel-mode NEON is not preemptible -> TIF_KERNEL_FPSTATE, registers saved and "
            "loaded at context switch",
            (
                Commit(
                    "aefbab8e77eb",
                    "arm64: fpsimd: Preserve/restore kernel mode NEON at context switch",
                ),
            ),
            requires=("flush-sets-foreign", "kvm-fp-2018"),
            link="20231208113218.3001940-8-ardb@google.com",
        ),
        Fix(
            "kneon-lazy",
            "rework",
            "v6.8",
            "kernel-mode registers are loaded at each switch-in -> not if the CPU still has them",
            (
                Commit(
                    "2632e2521769",
                    "arm64: fpsimd: Implement lazy restore for kernel mode FPSIMD",
                ),
                Commit(
                    "b8995a184170",
                    'Revert "arm64: fpsimd: Implement lazy restore for kernel mode FPSIMD"',
                ),
                Commit(
                    "f481bb32d60e",
                    'Reapply "arm64: fpsimd: Implement lazy restore for kernel mode FPSIMD"',
                ),
            ),
            requires=("kneon-preempt",),
            gone=("v6.9", "v6.10"),
            link="20231208113218.3001940-9-ardb@google.com",
        ),
        Fix(
            "sig-fptype",
            "fix",
            "v6.8",
            "a signal frame takes sve_state for valid by TIF_SVE -> by fp_type",
            (
                Commit(
                    "61da7c8e2a60",
                    "arm64/signal: Don't assume that TIF_SVE means we saved SVE state",
                ),
            ),
            requires=("fp-type",),
            repairs=("8c845e273104",),
        ),
        Fix(
            "fpmr",
            "feature",
            "v6.9",
            "FPMR is UNDEFINED at EL0 -> saved and loaded with the rest",
            (Commit("203f2b95a882", "arm64/fpsimd: Support FEAT_FPMR"),),
            requires=("kvm-fp-2018",),
        ),
        Fix(
            "kneon-elide-fix",
            "fix",
            "v6.10",
            "switching to a task in kernel-mode NEON leaves fpsimd_last_state on a user task "
            "whose registers are overwritten -> flushed",
            (
                Commit(
                    "e92bee9f861b",
                    "arm64/fpsimd: Avoid erroneous elide of user state reload",
                ),
            ),
            requires=("kneon-preempt",),
            repairs=("aefbab8e77eb",),
            link="20240522091335.335346-2-ardb+git@google.com",
        ),
        Fix(
            "ptrace-fptype",
            "fix",
            "v6.9",
            "a tracer reads sve_state by TIF_SVE -> by fp_type",
            (
                Commit(
                    "b017a0cea627",
                    "arm64/ptrace: Use saved floating point state type to determine SVE layout",
                ),
            ),
            requires=("fp-type",),
            repairs=("8c845e273104",),
            link="20240325-arm64-ptrace-fp-type-v1-1-8dc846caf11f@kernel.org",
        ),
        Fix(
            "hd-accessor",
            "refactor",
            "v6.10",
            "this_cpu_ptr(&kvm_host_data) in hyp, this_cpu_ptr_hyp_sym() in the kernel -> "
            "host_data_ptr() in both",
            (Commit("87f842c6c654", "KVM: arm64: Add accessor for per-CPU state"),),
            link="20240322170945.3292593-2-maz@kernel.org",
        ),
        Fix(
            "owner-check",
            "refactor",
            "v6.10",
            "who owns the registers is compared in the open -> guest_owns_fp_regs()",
            (
                Commit(
                    "f11290e0aa6e",
                    "KVM: arm64: Refactor checks for FP state ownership",
                ),
            ),
            requires=("fp-owner",),
        ),
        Fix(
            "nv-sve",
            "outside",
            "v6.11",
            "nested guests have no SVE, which a save would take at the wrong length -> they have",
            (
                Commit(
                    "2e3cf82063a0",
                    "KVM: arm64: nv: Ensure correct VL is loaded before saving SVE state",
                ),
                Commit(
                    "f1ee914fb626",
                    "KVM: arm64: Allow the use of SVE+NV",
                ),
            ),
        ),
        Fix(
            "sme-guest",
            "variant",
            None,
            "guests have no SME -> SVCR selects the length of Z and P, and its changes zero "
            "registers; ZA and ZT0 are EBUSY while SVCR.ZA is 0",
            requires=("kvm-sve-guest", "sme-host"),
            link="20260709-kvm-arm64-sme-v12-21-d0301d79ef58@kernel.org",
        ),
        Fix(
            "sme-larger-vl",
            "variant",
            None,
            "Z and P have the length that SVCR selects -> the larger of SVE's and SME's, always; "
            "a write of SVCR zeroes nothing",
            requires=("sme-guest",),
            link="20240302111935.129994-6-maz@kernel.org",
        ),
        Fix(
            "sme-za-raz",
            "variant",
            None,
            "ZA and ZT0 are EBUSY while SVCR.ZA is 0 -> read as zero, and writes do nothing",
            requires=("sme-guest",),
            link="20240302111935.129994-6-maz@kernel.org",
        ),
        Fix(
            "sme-v-visible",
            "variant",
            None,
            "V registers are hidden where Z stands for them -> are there as well; a write zeroes "
            "what is above, as a guest's does",
            requires=("sme-guest",),
            link="20240302111935.129994-6-maz@kernel.org",
        ),
        Fix(
            "hd-debug-state",
            "refactor",
            "v6.10",
            "host_debug_state (breakpoints, PMSCR_EL1, TRFCR_EL1) in the vcpu -> in kvm_host_data",
            (Commit("6db55734ec40", "KVM: arm64: Exclude host_debug_data from vcpu_arch"),),
            requires=("hd-accessor",),
            link="20240322170945.3292593-3-maz@kernel.org",
        ),
        Fix(
            "hd-mdcr",
            "refactor",
            "v6.10",
            "mdcr_el2_host in the vcpu -> host_debug_state.mdcr_el2 in kvm_host_data",
            (Commit("4bacd723705a", "KVM: arm64: Exclude mdcr_el2_host from kvm_vcpu_arch"),),
            requires=("hd-debug-state",),
            link="20240322170945.3292593-4-maz@kernel.org",
        ),
        Fix(
            "fp-owner",
            "rework",
            "v6.10",
            "vcpu->arch.fp_state -> kvm_host_data.fp_owner, per CPU",
            (
                Commit(
                    "51e09b5572d6",
                    "KVM: arm64: Exclude host_fpsimd_state pointer from kvm_vcpu_arch",
                ),
                Commit("5294afdbf45a", "KVM: arm64: Exclude FP ownership from kvm_vcpu_arch"),
            ),
            requires=("hd-accessor", "fp-tristate"),
            link="20240322170945.3292593-6-maz@kernel.org",
        ),
        Fix(
            "hd-kernel-copy",
            "variant",
            None,
            "host_data_ptr() in the kernel finds the copy that hyp uses -> plain "
            "this_cpu_ptr(), the kernel's own copy, as first posted",
            requires=("hd-accessor",),
            link="20240302111935.129994-2-maz@kernel.org",
        ),
        Fix(
            "pkvm-host-sve",
            "fix",
            "v6.10",
            "protected mode: the kernel cannot reach hyp's kvm_host_data: hyp does not learn that "
            "the host owns the registers, and loads a guest's over them -> hyp saves the host's, "
            "SVE included, in a buffer of its own, and restores them at each exit",
            (
                Commit(
                    "e511e08a9f49",
                    "KVM: arm64: Specialize handling of host fpsimd state on trap",
                ),
                Commit(
                    "66d5b53e20a6",
                    "KVM: arm64: Allocate memory mapped at hyp for host sve state in pKVM",
                ),
                Commit(
                    "b5b9955617bc",
                    "KVM: arm64: Eagerly restore host fpsimd/sve state in pKVM",
                ),
                Commit(
                    "1696fc2174db",
                    "KVM: arm64: Consolidate initializing the host data's fpsimd_state/sve in pKVM",
                ),
            ),
            requires=("fp-owner",),
            untagged="unseen",
            link="20240603122852.3923848-7-tabba@google.com",
        ),
        Fix(
            "pkvm-host-sve-prep",
            "refactor",
            "v6.10",
            "helpers that the save in hyp needs: __sve_save_state(), CPACR bits in ELx format",
            (
                Commit("87bb39ed40bd", "KVM: arm64: Reintroduce __sve_save_state"),
                Commit(
                    "45f4ea9bcfe9",
                    "KVM: arm64: Fix prototype for __sve_save_state/__sve_restore_state",
                ),
                Commit(
                    "6d8fb3cbf7e0",
                    "KVM: arm64: Abstract set/clear of CPTR_EL2 bits behind helper",
                ),
                Commit(
                    "a69283ae1db8",
                    "KVM: arm64: Refactor CPACR trap bit setting/clearing to use ELx format",
                ),
            ),
        ),
        Fix(
            "pkvm-sme-refuse",
            "fix",
            "v6.10",
            "protected mode: hyp runs a guest with whatever SVCR the host has left -> refuses to, "
            "with -EINVAL, if SM or ZA is on",
            (
                Commit(
                    "afb91f5f8ad7",
                    "KVM: arm64: Ensure that SME controls are disabled in protected mode",
                ),
            ),
            requires=("sme-host",),
            untagged="unseen",
            link="20240603122852.3923848-10-tabba@google.com",
        ),
        Fix(
            "pkvm-vl",
            "fix",
            "v6.12",
            "protected mode: hyp saves the host's SVE state at the largest length of the CPU, in a "
            "buffer for the largest that all CPUs share -> at that one",
            (
                Commit(
                    "a9f41588a902",
                    "KVM: arm64: Constrain the host to the maximum shared SVE VL with pKVM",
                ),
            ),
            requires=("pkvm-host-sve",),
            repairs=("b5b9955617bc",),
        ),
        Fix(
            "sve-stale-cpu",
            "fix",
            "v6.12",
            "do_sve_acc() with TIF_FOREIGN_FPSTATE set leaves fpsimd_cpu as it was -> flushed",
            (
                Commit(
                    "751ecf6afd65",
                    "arm64/sve: Discard stale CPU state when handling SVE traps",
                ),
            ),
            requires=("sve-trap-inregs",),
            repairs=("cccb78ce89c4",),
            link="20241030-arm64-fpsimd-foreign-flush-v1-1-bd7bd66905a2@kernel.org",
        ),
        Fix(
            "smccc-no-hint",
            "fix",
            "v6.12",
            "SMCCC calls let the firmware discard SVE state that is not current's, and that a task "
            "or vcpu comes back to -> the hint is never given",
            (
                Commit(
                    "8c462d56487e",
                    "arm64: smccc: Remove broken support for SMCCCv1.3 SVE discard hint",
                ),
            ),
            requires=("smccc-hint",),
            repairs=("cfa7ff959a78",),
            link="20241106160448.2712997-1-mark.rutland@arm.com",
        ),
        Fix(
            "kvm-fpmr",
            "feature",
            "v6.12",
            "guests have no FPMR -> switched with FP; hyp saves the host's if the VM has it",
            (
                Commit("7d9c1ed6f4bf", "KVM: arm64: Move FPMR into the sysreg array"),
                Commit("ef3be86021c3", "KVM: arm64: Add save/restore support for FPMR"),
            ),
            requires=("fpmr",),
        ),
        Fix(
            "ptrace-fpmr-partial",
            "fix",
            "v6.13",
            "a write of no bytes to NT_ARM_FPMR takes FPMR from the kernel's stack -> leaves it "
            "as it is",
            (Commit("f5d71291841a", "arm64: ptrace: fix partial SETREGSET for NT_ARM_FPMR"),),
            requires=("fpmr",),
            repairs=("4035c22ef7d4",),
            link="20241205121655.1824269-3-mark.rutland@arm.com",
        ),
        Fix(
            "cptr-scratch",
            "fix",
            "v6.14",
            "nVHE guest traps start from a per-vcpu CPTR_EL2 set at KVM_ARM_VCPU_INIT -> "
            "computed at each activation",
            (
                Commit(
                    "2fd5b4b0e7b4",
                    "KVM: arm64: Calculate cptr_el2 traps on activating traps",
                ),
            ),
            requires=("nvhe-sve",),
            repairs=("5294afdbf45a",),
            link="20241216105057.579031-13-tabba@google.com",
        ),
        Fix(
            "spe-drained-early",
            "outside",
            "v5.12",
            "nVHE drains the host's profiling buffer when the guest's translation is loaded -> "
            "before. Neither what is in the buffer nor a translation regime is modelled",
            (Commit("b96b0c5de685", "KVM: arm64: nvhe: Save the SPE context early"),),
        ),
        Fix(
            "guest-trfcr-trapped",
            "outside",
            "v5.12",
            "a guest reaches the CPU's TRFCR_EL1, which the host finds so -> its access traps "
            "(MDCR_EL2.TTRF). A guest's own trace registers are not modelled",
            (
                Commit(
                    "a354a64d91ee",
                    "KVM: arm64: Disable guest access to trace filter controls",
                ),
            ),
        ),
        Fix(
            "sysreg-no-junk",
            "rework",
            "v5.3",
            "a reset of a vcpu writes junk into its system registers, to see that each is reset "
            "-> notes which it has reset; and the table has index 0 for every debug register",
            (Commit("03fdfb269009", "KVM: arm64: Don't write junk to sysregs on reset"),),
        ),
        Fix(
            "debug-index",
            "fix",
            "v5.13",
            "emulation, ONE_REG and reset take every DBGBVR<n>_EL1 of a vcpu for DBGBVR0_EL1 -> "
            "each for its own",
            (Commit("cb853ded1d25", "KVM: arm64: Fix debug register indexing"),),
            requires=("sysreg-no-junk",),
            repairs=("03fdfb269009",),
        ),
        Fix(
            "debug-owner",
            "rework",
            "v6.14",
            "a guest's debug registers are switched while DEBUG_DIRTY, which each exit clears -> "
            "while debug_owner is the guest, from its first access to vcpu_put",
            (
                Commit("cd9b10102ae3", "KVM: arm64: Evaluate debug owner at vcpu_load()"),
                Commit(
                    "beb470d96cec",
                    "KVM: arm64: Use debug_owner to track if debug regs need save/restore",
                ),
                Commit(
                    "c4a6ed854559",
                    "KVM: arm64: Promote guest ownership for DBGxVR/DBGxCR reads",
                ),
            ),
            requires=("hd-debug-state",),
        ),
        Fix(
            "debug-2025",
            "refactor",
            "v6.14",
            "what else the debug side keeps and asks (HPMN by a hypercall, breakpoint counts from "
            "an ID register, debug_ptr, trace events) -> kvm_host_data, debug_owner",
            (
                Commit("8ca19c40c47d", "KVM: arm64: Drop MDSCR_EL1_DEBUG_MASK"),
                Commit(
                    "2417218f2f23",
                    "KVM: arm64: Get rid of __kvm_get_mdcr_el2() and related warts",
                ),
                Commit(
                    "38131c02a53f",
                    "KVM: arm64: Track presence of SPE/TRBE in kvm_host_data instead of vCPU",
                ),
                Commit(
                    "b47ffd13fda8",
                    "KVM: arm64: Write MDCR_EL2 directly from kvm_arm_setup_mdcr_el2()",
                ),
                Commit("4cefbec97d80", "KVM: arm64: Clean up KVM_SET_GUEST_DEBUG handler"),
                Commit(
                    "58db67e9acca",
                    "KVM: arm64: Select debug state to save/restore based on debug owner",
                ),
                Commit("3b7780945cc8", "KVM: arm64: Remove debug tracepoints"),
                Commit("803602b0d941", "KVM: arm64: Remove vestiges of debug_ptr"),
                Commit(
                    "8c02c2bbd643",
                    "KVM: arm64: Avoid reading ID_AA64DFR0_EL1 for debug save/restore",
                ),
                Commit(
                    "3ce9f3357e9e",
                    "KVM: arm64: Fold DBGxVR/DBGxCR accessors into common set",
                ),
            ),
        ),
        Fix(
            "debug-mdscr",
            "outside",
            "v6.14",
            "MDSCR_EL1, the OS lock and software step of a guest are the host's while it debugs it "
            "-> kept apart, loaded and put",
            (
                Commit("06d22a9c1b94", "KVM: arm64: Reload vCPU for accesses to OSLAR_EL1"),
                Commit("4ad3a0b87f2e", "KVM: arm64: Don't hijack guest context MDSCR_EL1"),
                Commit("2ca3f03bf524", "KVM: arm64: Manage software step state at load/put"),
                Commit(
                    "b0ee51033ae3",
                    "KVM: arm64: nv: Honor MDCR_EL2.TDE routing for debug exceptions",
                ),
            ),
        ),
        Fix(
            "trace-filter-guests",
            "outside",
            "v6.14",
            "TRFCR_EL1 in a guest is off -> what perf's filters ask for, as far as there is no "
            "trace buffer in use",
            (
                Commit("a665e3bc8808", "KVM: arm64: coresight: Give TRBE enabled state to KVM"),
                Commit("054b88391bbe", "KVM: arm64: Support trace filtering for guests"),
                Commit("aaf69eff6cdb", "coresight: Pass guest TRFCR value to KVM"),
            ),
        ),
        Fix(
            "mdcr-at-load",
            "rework",
            "v6.14",
            "MDCR_EL2 of a guest is computed before each entry -> at vcpu_load and where its "
            "debug registers change hands, and written at once under VHE: before the host's value "
            "is saved",
            (Commit("75a5fbaf6623", "KVM: arm64: Compute MDCR_EL2 at vcpu_load()"),),
            requires=("debug-owner",),
        ),
        Fix(
            "pmscr-init-vhe",
            "fix",
            "v6.17",
            "under VHE nobody sets PMSCR_EL1, so the host's profiling may go on in a guest -> KVM "
            "clears it where a CPU comes up",
            (Commit("efad60e46057", "KVM: arm64: Initialize PMSCR_EL1 when in VHE"),),
            requires=("kvm-fp-2018",),
            untagged="unseen",
        ),
        Fix(
            "pmscr-guard",
            "outside",
            "v6.18",
            "PMSCR_EL1 is cleared by what the ID register says of SPE -> if EL3 lets EL2 have it",
            (
                Commit(
                    "c35dd838666d",
                    "KVM: arm64: Guard PMSCR_EL1 initialization with SPE presence check",
                ),
            ),
            requires=("pmscr-init-vhe",),
            repairs=("efad60e46057",),
            link="20251010174707.1684200-1-mukesh.ojha@oss.qualcomm.com",
        ),
        Fix(
            "mdcr-host-vhe",
            "fix",
            "v6.17",
            "under VHE the host is left with the guest's MDCR_EL2 after vcpu_put -> the host's is "
            "saved before vcpu_load computes the guest's",
            (
                Commit(
                    "da2e743419cb",
                    "KVM: arm64: VHE: Save and restore host MDCR_EL2 value correctly",
                ),
            ),
            requires=("mdcr-at-load",),
            repairs=("75a5fbaf6623",),
        ),
        Fix(
            "save-and-flush",
            "fix",
            "v6.14",
            "vcpu_load leaves host state live for hyp to save -> saves and flushes it, nobody "
            "owns the registers",
            (
                Commit(
                    "fbc7e61195e2",
                    "KVM: arm64: Unconditionally save+flush host FPSIMD/SVE/SME state",
                ),
            ),
            requires=("kvm-fp-2018",),
            repairs=("93ae6b01bafe", "8c845e273104", "ef3be86021c3"),
            link="20250210195226.1215254-2-mark.rutland@arm.com",
        ),
        Fix(
            "no-hyp-host-save",
            "refactor",
            "v6.14",
            "hyp's saving of host state -> only for protected KVM (dead code otherwise)",
            (
                Commit(
                    "8eca7f6d5100",
                    "KVM: arm64: Remove host FPSIMD saving for non-protected KVM",
                ),
            ),
            requires=("save-and-flush",),
            link="20250210195226.1215254-3-mark.rutland@arm.com",
        ),
        Fix(
            "no-zen-restore",
            "refactor",
            "v6.14",
            "vcpu_put restores CPACR_EL1.ZEN -> leaves it to the next bind",
            (Commit("459f059be702", "KVM: arm64: Remove VHE host restore of CPACR_EL1.ZEN"),),
            requires=("save-and-flush",),
            link="20250210195226.1215254-4-mark.rutland@arm.com",
        ),
        Fix(
            "no-smen-restore",
            "refactor",
            "v6.14",
            "vcpu_put restores CPACR_EL1.SMEN -> leaves it to the next bind",
            (Commit("407a99c4654e", "KVM: arm64: Remove VHE host restore of CPACR_EL1.SMEN"),),
            requires=("save-and-flush",),
            link="20250210195226.1215254-5-mark.rutland@arm.com",
        ),
        Fix(
            "cptr-split",
            "rework",
            "v6.14",
            "VHE hyp leaves the host with CPACR_EL1.ZEN and SMEN open to EL1 alone -> to EL0 too, "
            "until the next bind; one helper for every mode becomes one for each",
            (Commit("ee14db31a9c8", "KVM: arm64: Refactor CPTR trap deactivation"),),
            requires=("kvm-fp-2018",),
            link="20250210195226.1215254-6-mark.rutland@arm.com",
        ),
        Fix(
            "exit-handlers",
            "refactor",
            "v6.14",
            "exit handlers found at run time -> by each mode's own code",
            (Commit("9b66195063c5", "KVM: arm64: Refactor exit handlers"),),
            link="20250210195226.1215254-7-mark.rutland@arm.com",
        ),
        Fix(
            "hyp-inline",
            "refactor",
            "v6.14",
            "functions in hyp headers -> marked inline",
            (Commit("f9dd00de1e53", "KVM: arm64: Mark some header functions as inline"),),
            link="20250210195226.1215254-8-mark.rutland@arm.com",
        ),
        Fix(
            "load-fp-warning",
            "refactor",
            "v6.14",
            "the warning at vcpu_load about SVCR is for protected KVM -> for every mode",
            (Commit("332b7e6d62b7", "KVM: arm64: Simplify warning in kvm_arch_vcpu_load_fp()"),),
            requires=("save-and-flush",),
            link="Z626RqzA3HMskwJd@J2N7QTR9R3",
        ),
        Fix(
            "suspend-tpidr2",
            "stable",
            None,
            "a suspend loses TPIDR2_EL0 of the task that asks for it -> cpu_do_suspend() and "
            'cpu_do_resume() keep it (6.12.118: "arm64: suspend: Save and restore TPIDR2_EL0 '
            'across CPU suspend"; 7.2.13 and 7.3.4 have not got it)',
            requires=("sme-host",),
        ),
        Fix(
            "nvhe-tsm-left",
            "stable",
            None,
            "nVHE hyp clears CPTR_EL2.TSM for a host with SME -> leaves it set, since stable 6.1 "
            "and 6.12 count it among the RES1 bits (mainline stopped that by 1eccad35c926), and "
            "the host's next SME access is a BUG in hyp",
            requires=("cptr-scratch", "sme-host"),
        ),
        Fix(
            "eager-zcr",
            "fix",
            "v6.14",
            "the guest's ZCR_EL1 stays live until vcpu_put, ZCR_EL2 until the host uses SVE -> "
            "both switched around every entry",
            (Commit("59419f10045b", "KVM: arm64: Eagerly switch ZCR_EL{1,2}"),),
            requires=("nvhe-sve",),
            repairs=("8c8010d69c13", "2e3cf82063a0"),
            link="20250210195226.1215254-9-mark.rutland@arm.com",
        ),
        Fix(
            "clone-preserve",
            "fix",
            "v6.16",
            "clone() copies V from memory, even if sve_state is the valid image, and leaves the "
            "parent's registers live -> saves and flushes the parent, and takes V from the image "
            "that is valid",
            (
                Commit(
                    "e0cb0f26594c",
                    "arm64/fpsimd: Consistently preserve FPSIMD state during clone()",
                ),
            ),
            requires=("fp-type",),
            repairs=("bc0ee4760364", "f130ac0ae441"),
            link="20250508132644.1395904-12-mark.rutland@arm.com",
        ),
        Fix(
            "clone-sm",
            "fix",
            "v6.16",
            "a child inherits PSTATE.SM from a parent that a tracer has put into streaming "
            "mode -> starts out of it, as after SMSTOP",
            (Commit("a6d066f70574", "arm64/fpsimd: Clear PSTATE.SM during clone()"),),
            requires=("sme-host",),
            repairs=("8bd7f91c03d8",),
            link="20250508132644.1395904-13-mark.rutland@arm.com",
        ),
        Fix(
            "clone-za",
            "fix",
            "v6.16",
            "every child inherits ZA -> only one with memory of its own (without CLONE_VM), so "
            "that AAPCS64's lazy saving of ZA works in threads",
            (
                Commit(
                    "cde5c32db557",
                    "arm64/fpsimd: Make clone() compatible with ZA lazy saving",
                ),
            ),
            requires=("sme-host",),
            untagged="none",
            link="20250508132644.1395904-14-mark.rutland@arm.com",
        ),
        Fix(
            "sme-smtc",
            "refactor",
            "v6.16",
            "do_sme_acc() looks at the whole ISS, of which all but SMTC is RES0 -> at SMTC",
            (Commit("95507570fb2f", "arm64/fpsimd: Avoid RES0 bits in the SME trap handler"),),
            requires=("sme-host",),
            repairs=("8bd7f91c03d8",),
            link="20250409164010.3480271-2-mark.rutland@arm.com",
        ),
        Fix(
            "trap-redundant",
            "refactor",
            "v6.16",
            "task_fpsimd_load() sets EL0's SVE trap, and the bind after it once more -> the "
            "bind alone",
            (Commit("45fd86986b79", "arm64/fpsimd: Remove redundant SVE trap manipulation"),),
            requires=("load-by-type",),
            link="20250409164010.3480271-4-mark.rutland@arm.com",
        ),
        Fix(
            "sme-no-free",
            "rework",
            "v6.16",
            "a change of the SVE vector length frees ZA's storage and sets the SME trap, if "
            "neither SM nor ZA is set -> leaves them",
            (Commit("d7649a4a601e", "arm64/fpsimd: Remove opportunistic freeing of SME state"),),
            requires=("sme-host",),
            link="20250409164010.3480271-5-mark.rutland@arm.com",
        ),
        Fix(
            "sme-stale-cpu",
            "fix",
            "v6.16",
            "do_sme_acc() with TIF_FOREIGN_FPSTATE set leaves fpsimd_cpu as it was -> flushed",
            (
                Commit(
                    "d3eaab3c7090",
                    "arm64/fpsimd: Discard stale CPU state when handling SME traps",
                ),
            ),
            requires=("sme-host",),
            repairs=("8bd7f91c03d8",),
            link="20250409164010.3480271-6-mark.rutland@arm.com",
        ),
        Fix(
            "fpmr-sm",
            "fix",
            "v6.16",
            "FPMR is loaded, then SVCR, whose change of SM zeroes it -> the other way round",
            (
                Commit(
                    "e5fa85fce08b", "arm64/fpsimd: Don't corrupt FPMR when streaming mode changes"
                ),
            ),
            requires=("fpmr", "sme-host"),
            repairs=("203f2b95a882",),
            link="20250409164010.3480271-7-mark.rutland@arm.com",
        ),
        Fix(
            "fpmr-exec",
            "fix",
            "v6.16",
            "exec() keeps FPMR -> zero",
            (Commit("a90878f297d3", "arm64/fpsimd: Reset FPMR upon exec()"),),
            requires=("fpmr",),
            repairs=("203f2b95a882",),
            link="20250409164010.3480271-9-mark.rutland@arm.com",
        ),
        Fix(
            "sig-merge",
            "fix",
            "v6.16",
            "sigreturn lays V over the SVE image if TIF_SVE is set -> if fp_type says SVE",
            (
                Commit(
                    "c94f2f326146",
                    "arm64/fpsimd: Fix merging of FPSIMD state during signal return",
                ),
            ),
            requires=("fp-type",),
            asks=("sig-fptype",),  # stable trees have it without sig-fptype
            repairs=("85ed24dad290",),
            link="20250409164010.3480271-10-mark.rutland@arm.com",
        ),
        Fix(
            "sig-flush",
            "fix",
            "v6.16",
            "signal code edits registers and memory, without holding the context -> saves and "
            "flushes first, then edits memory alone",
            (
                Commit("929fa99b1215", "arm64/fpsimd: signal: Always save+flush state early"),
                Commit("d3a181588df9", "arm64/fpsimd: Add fpsimd_save_and_flush_current_state()"),
            ),
            requires=("fp-type",),
            repairs=(
                "8c46def44409",
                "40a8e87bb328",
                "ea64baacbc36",
                "baa8515281b3",
                "8cd969d28fd2",
                "39782210eb7e",
                "ee072cf70804",
            ),
            link="20250409164010.3480271-13-mark.rutland@arm.com",
        ),
        Fix(
            "sig32-flush",
            "outside",
            "v6.16",
            "AArch32 tasks: signal code edits registers and memory, without holding the context "
            "-> saves and flushes first",
            (Commit("3aa4d74438af", "arm64/fpsimd: signal32: Always save+flush state early"),),
            requires=("sig-flush",),
            link="20250409164010.3480271-12-mark.rutland@arm.com",
        ),
        Fix(
            "sig-smstop",
            "fix",
            "v6.16",
            "delivery of a signal in streaming mode zeroes FPSR and FPCR with V, and keeps FPMR -> "
            "does what SMSTOP SM does",
            (
                Commit(
                    "99560c9452bb",
                    "arm64/fpsimd: signal: Use SMSTOP behaviour in setup_return()",
                ),
            ),
            requires=("sig-flush",),
            repairs=("40a8e87bb328",),
            link="20250508132644.1395904-10-mark.rutland@arm.com",
        ),
        Fix(
            "sig-sm-fpsimd",
            "fix",
            "v6.16",
            "sigreturn with an FPSIMD record alone leaves thread.svcr -> clears SM",
            (
                Commit(
                    "1bf663a86a45",
                    "arm64/fpsimd: signal: Clear PSTATE.SM when restoring FPSIMD frame only",
                ),
            ),
            requires=("sme-host",),
            repairs=("85ed24dad290",),
            link="20250508132644.1395904-3-mark.rutland@arm.com",
        ),
        Fix(
            "sig-payload",
            "fix",
            "v6.16",
            "a signal frame with a streaming SVE record without registers is taken for FPSIMD "
            "state -> EINVAL, and SIGSEGV",
            (
                Commit(
                    "b465ace42620",
                    "arm64/fpsimd: signal: Mandate SVE payload for streaming-mode state",
                ),
            ),
            requires=("sme-host",),
            repairs=("85ed24dad290",),
            link="20250508132644.1395904-4-mark.rutland@arm.com",
        ),
        Fix(
            "sig-read-context",
            "outside",
            "v6.16",
            "sigreturn with an SVE record does not look at the size of the FPSIMD record -> EINVAL "
            "for another one. Sizes of records are not modelled",
            (
                Commit(
                    "be625d803c3b",
                    "arm64/fpsimd: signal: Consistently read FPSIMD context",
                ),
            ),
        ),
        Fix(
            "sig-sve-payload",
            "fix",
            "v7.3",
            "on a machine with SME alone sigreturn takes a non-streaming SVE record with "
            "registers, and the return to user space writes ZCR_EL1, which is not there -> EINVAL, "
            "and SIGSEGV",
            (
                Commit(
                    "e060d9069b49",
                    "arm64/fpsimd: signal: Forbid non-streaming SVE payload on SME-only systems",
                ),
            ),
            requires=("sig-sme-only",),
            untagged="unseen",
        ),
        Fix(
            "sig-tpidr2",
            "fix",
            "v6.16",
            "a signal handler finds TPIDR2_EL0 of the code that it interrupts, beside "
            "PSTATE.ZA clear -> zero, so that no ZA counts as dormant",
            (Commit("b376108e1f88", "arm64/fpsimd: signal: Clear TPIDR2 when delivering signals"),),
            requires=("sme-host",),
            repairs=("39782210eb7e", "39e54499280f"),
            link="20250417190113.3778111-1-mark.rutland@arm.com",
        ),
        Fix(
            "discard-modified",
            "fix",
            "v6.16",
            "a save in a system call drops SVE, even what a tracer has just written -> only what "
            "fpsimd_last_state.to_save says, from system call entry to the next load",
            (Commit("398edaa12f9c", "arm64/fpsimd: Do not discard modified SVE state"),),
            requires=("sve-stays-on",),
            repairs=("8c845e273104", "f130ac0ae441"),
            link="20250508132644.1395904-2-mark.rutland@arm.com",
        ),
        Fix(
            "ptrace-partial",
            "fix",
            "v6.16",
            "what a short write of NT_ARM_SVE or NT_ARM_SSVE does not reach is zero, or V as "
            "it was, by TIF_SVE and SM -> zero (but V, FPSR and FPCR are zeroed in the "
            "tracer)",
            (
                Commit(
                    "316283f276eb",
                    "arm64/fpsimd: ptrace: Consistently handle partial writes to NT_ARM_(S)SVE",
                ),
            ),
            requires=("sve-host",),
            repairs=("43d4da2c45b2",),
            link="20250508132644.1395904-6-mark.rutland@arm.com",
        ),
        Fix(
            "effective",
            "rework",
            "v6.16",
            "the helper that takes V into the SVE image goes by TIF_SVE and SM -> by fp_type, so a "
            "change of the vector length without vl-stale finds what is older there",
            (Commit("b255be426913", "arm64/fpsimd: Clarify sve_sync_*() functions"),),
            requires=("fp-type",),
            link="20250508132644.1395904-7-mark.rutland@arm.com",
        ),
        Fix(
            "vl-stale",
            "fix",
            "v6.16",
            "a change of the vector length takes V from sve_state by TIF_SVE -> from the image "
            "that is valid",
            (
                Commit(
                    "49ce484187f7",
                    "arm64/fpsimd: ptrace/prctl: Ensure VL changes do not resurrect stale data",
                ),
            ),
            requires=("fp-type",),
            repairs=("8c845e273104",),
            link="20250508132644.1395904-15-mark.rutland@arm.com",
        ),
        Fix(
            "vl-valid",
            "fix",
            "v6.16",
            "a change of a vector length leaves a task that streams with fp_type FPSIMD, or "
            "takes it out of streaming mode with its V -> keeps PSTATE.SM and the format, V "
            "zero-padded",
            (
                Commit(
                    "b87c8c4aca11",
                    "arm64/fpsimd: ptrace/prctl: Ensure VL changes leave task in a valid state",
                ),
            ),
            requires=("fp-type",),
            repairs=("8bd7f91c03d8", "baa8515281b3"),
            link="20250508132644.1395904-16-mark.rutland@arm.com",
        ),
        Fix(
            "ptrace-inactive",
            "fix",
            "v6.16",
            "the register set of the mode that a task is not in has data of the other -> still, "
            "after a header that says it is shorter than itself",
            (
                Commit(
                    "b93e685ecff7",
                    "arm64/fpsimd: ptrace: Do not present register data for inactive mode",
                ),
            ),
            requires=("sme-host",),
            repairs=("e12310a0d30f",),
            link="20250508132644.1395904-18-mark.rutland@arm.com",
        ),
        Fix(
            "ptrace-header-alone",
            "fix",
            "v7.3",
            "the header of the mode that a task is not in has the size of a pointer, and data "
            "after it -> its own size, and nothing after it",
            (
                Commit(
                    "c3f83d021162",
                    "arm64/fpsimd: ptrace: Fix inactive SVE and SSVE regsets",
                ),
            ),
            requires=("ptrace-inactive",),
            untagged="unseen",
        ),
        Fix(
            "pkvm-lazy-state",
            "rework",
            "v7.3",
            "the context of a vcpu that is not protected is copied to hyp at each entry and back "
            "at each exit -> to hyp with PKVM_HOST_STATE_DIRTY, back for a trap, an SError or "
            "vcpu_put: after an interrupt the host's copy is stale",
            (
                Commit(
                    "734dc8c01c83",
                    "KVM: arm64: Implement lazy vCPU state sync for non-protected guests",
                ),
            ),
            requires=("pkvm-hyp-vcpu", "pkvm-host-sve"),
        ),
        Fix(
            "pmu-strict",
            "feature",
            "v7.3",
            "KVM_ARM_VCPU_INIT knows no feature 9 -> KVM_ARM_VCPU_PMU_V3_STRICT, for a vcpu with "
            "KVM_ARM_VCPU_PMU_V3 whose PMU the VMM selects itself",
            (
                Commit(
                    "ad220e275c39",
                    "KVM: arm64: Add KVM_ARM_VCPU_PMU_V3_STRICT vCPU feature",
                ),
            ),
            requires=("vcpu-features-checked",),
        ),
        Fix(
            "pkvm-sve-checked",
            "outside",
            "v7.3",
            "hyp takes vector length and SVE flag of a vcpu from a host that could lie, and a vcpu "
            "whose start fails in hyp takes SVE from its VM -> checked, from the feature, kept. "
            "Neither a host that lies nor a failure to pin memory in hyp is modelled",
            (
                Commit(
                    "2a2eb10795a1",
                    "KVM: arm64: Validate the SVE vector length in pkvm_vcpu_init_sve()",
                ),
                Commit(
                    "a1b3c788ad31",
                    "KVM: arm64: Do not clear VM-wide SVE feature on vCPU init failure",
                ),
                Commit(
                    "0d62fbf34d8f",
                    "KVM: arm64: Key unpin_host_sve_state() on the state it unpins",
                ),
                Commit(
                    "4f16c5fc8dc4",
                    "KVM: arm64: Derive GUEST_HAS_SVE from the SVE feature bit at EL2",
                ),
            ),
        ),
        Fix(
            "nv-cptr-live",
            "outside",
            "v7.3",
            "a nested hypervisor's CPTR_EL2 is in memory, since its accesses to CPACR_EL1 trap -> "
            "in CPACR_EL1 with FEAT_NV2p1, and saved at vcpu_put. Nested guests are not modelled",
            (
                Commit(
                    "649ba043262c",
                    "KVM: arm64: Relax CPTR_EL2 handling when FEAT_NV2p1 is present",
                ),
            ),
        ),
        Fix(
            "pkvm-external-mdscr",
            "outside",
            "v7.3",
            "protected mode: the guest of a VMM that debugs it runs with an MDSCR_EL1 that hyp has "
            "never been given -> given at each entry. MDSCR_EL1 is not modelled",
            (Commit("119a9a23fbae", "KVM: arm64: Flush external_mdscr_el1 to the pKVM hyp vCPU"),),
            requires=("debug-mdscr",),
        ),
        Fix(
            "ptrace-ssve-payload",
            "fix",
            "v6.16",
            "FPSIMD data by NT_ARM_SSVE leaves the tracee in streaming mode with fp_type "
            "FPSIMD -> EINVAL",
            (
                Commit(
                    "f916dd32a943",
                    "arm64/fpsimd: ptrace: Mandate SVE payload for streaming-mode state",
                ),
            ),
            requires=("sme-host",),
            repairs=("e12310a0d30f",),
            link="20250508132644.1395904-19-mark.rutland@arm.com",
        ),
        Fix(
            "ptrace-errors",
            "fix",
            "v6.16",
            "a write with data for a vector length that there is not sets PSTATE.SM, then "
            "fails without fp_type -> storage, flags and fp_type first",
            (Commit("9f8bf718f292", "arm64/fpsimd: ptrace: Gracefully handle errors"),),
            requires=("fp-type",),
            repairs=("e12310a0d30f", "baa8515281b3", "5d0a8d2fba50"),
            link="20250508132644.1395904-20-mark.rutland@arm.com",
        ),
        Fix(
            "kneon-smstop",
            "fix",
            "v6.16",
            "kernel-mode registers are loaded, then SMSTOP may zero them -> the other way round",
            (
                Commit(
                    "01098d893fa8",
                    "arm64/fpsimd: Avoid clobbering kernel FPSIMD state with SMSTOP",
                ),
            ),
            requires=("kneon-elide-fix",),
            repairs=("e92bee9f861b",),
            link="20250409164010.3480271-8-mark.rutland@arm.com",
        ),
        Fix(
            "ptrace-header-saved",
            "outside",
            "v6.16",
            "the header of NT_ARM_SVE in a core dump goes by a state that is not saved yet -> it "
            "is saved first. Core dumps are not modelled",
            (
                Commit(
                    "054d627c5554",
                    "arm64/fpsimd: ptrace: Save task state before generating SVE header",
                ),
            ),
        ),
        Fix(
            "sme-built",
            "build",
            "v6.16",
            "CONFIG_ARM64_SME depends on BROKEN -> can be selected",
            (
                Commit(
                    "33c4618d0ac0",
                    "arm64/fpsimd: Allow CONFIG_ARM64_SME to be selected",
                ),
            ),
        ),
        Fix(
            "sme-broken",
            "build",
            "v6.12",
            "CONFIG_ARM64_SME can be selected -> depends on BROKEN, so that no kernel is built "
            "with SME",
            (
                Commit(
                    "81235ae0c846",
                    "arm64: Kconfig: Make SME depend on BROKEN for now",
                ),
            ),
        ),
        Fix(
            "neon-irqs-off",
            "rework",
            "v6.19",
            "may_use_simd() is false with interrupts off, EFI calls then keep the registers as "
            "they are -> kernel-mode NEON as elsewhere",
            (Commit("7137a203b251", "arm64/fpsimd: Permit kernel mode NEON with IRQs off"),),
            requires=("neon-nonest",),
            link="20250924152651.3328941-13-ardb+git@google.com",
        ),
        Fix(
            "efi-preemptible",
            "outside",
            "v6.19",
            "an EFI call from preemptible context warns -> does not",
            (
                Commit(
                    "1d038e801833",
                    "arm64/fpsimd: Don't warn when EFI execution context is preemptible",
                ),
            ),
        ),
        Fix(
            "efi-buffers",
            "refactor",
            "v6.16",
            "a buffer for EFI calls on each CPU -> one, since there is one call at a time",
            (
                Commit(
                    "e04796c8b598",
                    "arm64/fpsimd: Avoid unnecessary per-CPU buffers for EFI runtime calls",
                ),
            ),
            link="20250318132421.3155799-2-ardb+git@google.com",
        ),
        Fix(
            "efi-kill",
            "rework",
            "v6.19",
            "an EFI call in a hard interrupt keeps Z, P, FFR and PSTATE.SM -> V alone, and kills "
            "the task",
            (
                Commit(
                    "63de2b3859ba",
                    "arm64/efi: Remove unneeded SVE/SME fallback preserve/store handling",
                ),
            ),
            requires=("neon-irqs-off",),
        ),
        Fix(
            "kneon-stack",
            "refactor",
            "v6.19",
            "kernel-mode registers are kept in the task -> in a buffer of the caller's stack",
            (
                Commit(
                    "4fa617cc6851",
                    "arm64/fpsimd: Allocate kernel mode FP/SIMD buffers on the stack",
                ),
            ),
            requires=("kneon-preempt",),
            link="20251031103858.529530-44-ardb+git@google.com",
        ),
        Fix(
            "ptrace-sme-only",
            "feature",
            "v6.19",
            "without SVE a tracer cannot take a task out of streaming mode -> NT_ARM_SVE with "
            "FPSIMD data and vector length 0 does",
            (
                Commit(
                    "472800cd5e38",
                    "arm64/sme: Support disabling streaming mode via ptrace on SME only systems",
                ),
            ),
            requires=("sme-host",),
            link="20250820-arm64-sme-ptrace-sme-only-v1-3-f7c22b2871f8@kernel.org",
        ),
        Fix(
            "ptrace-no-sme",
            "fix",
            "v6.19",
            "NT_ARM_SVE sets TIF_SVE only where there is SME, and the next load warns -> always",
            (Commit("128a7494a9f1", "arm64/fpsimd: ptrace: Fix SVE writes on !SME systems"),),
            requires=("ptrace-errors",),
            repairs=("9f8bf718f292",),
        ),
        Fix(
            "sig-sve-restore",
            "fix",
            "v6.19",
            "sigreturn with a streaming SVE record leaves TIF_SME clear and ZA without storage, "
            "one that is not streaming leaves SM -> both mended",
            (Commit("d2907cbe9ea0", "arm64/fpsimd: signal: Fix restoration of SVE context"),),
            requires=("sme-host",),
            repairs=("85ed24dad290",),
        ),
        Fix(
            "sig-za-alloc",
            "fix",
            "v6.19",
            "sigreturn with ZA sets TIF_SME and leaves sve_state NULL, where streaming "
            "registers are to be saved -> allocated",
            (
                Commit(
                    "ea8ccfddbce0", "arm64/fpsimd: signal: Allocate SSVE storage when restoring ZA"
                ),
            ),
            requires=("sme-host",),
            repairs=("39782210eb7e",),
        ),
        Fix(
            "ptrace-zero-target",
            "fix",
            "v7.1",
            "a tracer's NT_ARM_SVE or NT_ARM_SSVE zeroes the tracer's V, FPSR and FPCR in "
            "memory -> the tracee's",
            (
                Commit(
                    "5cbb61bf4168",
                    "arm64/fpsimd: ptrace: zero target's fpsimd_state, not the tracer's",
                ),
            ),
            requires=("ptrace-partial",),
            repairs=("316283f276eb",),
        ),
        Fix(
            "trbe-buffer-off",
            "fix",
            "v7.1",
            "nVHE stops the host's trace by TRFCR_EL1 alone, so the enabled buffer may go on "
            "translating in the guest's context -> TRBLIMITR_EL1.E is cleared too",
            (
                Commit(
                    "d133aa75e39d",
                    "KVM: arm64: Disable TRBE Trace Buffer Unit when running in guest context",
                ),
            ),
            untagged="unseen",
        ),
        Fix(
            "spe-buffer-off",
            "fix",
            "v7.1",
            "nVHE stops the host's profiling by PMSCR_EL1 alone -> PMBLIMITR_EL1.E is cleared too",
            (
                Commit(
                    "07695f7dc1e1",
                    "KVM: arm64: Disable SPE Profiling Buffer when running in guest context",
                ),
            ),
            untagged="unseen",
        ),
        Fix(
            "simd-2026",
            "refactor",
            "v7.2",
            "register moves in assembler macros -> inline, with types; FFR is saved where asked",
            (
                Commit(
                    "ae24f6b06e90",
                    "arm64: fpsimd: Fix type mismatch in sve_{save,load}_state()",
                ),
                Commit(
                    "247bd1539050",
                    "arm64: fpsimd: Fix type mismatch in sme_{save,load}_state()",
                ),
                Commit(
                    "79e66bb7e8b4",
                    "KVM: arm64: Don't include <asm/fpsimdmacros.h>",
                ),
                Commit(
                    "dc2337625880",
                    "KVM: arm64: Don't override FFR save/restore argument",
                ),
                Commit(
                    "3efb6c7f22c6",
                    "arm64: fpsimd: Fold sve_init_regs() into do_sve_acc()",
                ),
                Commit(
                    "e0cde2d2bb1b",
                    "arm64: fpsimd: Remove sve_set_vq() and sme_set_vq()",
                ),
                Commit(
                    "f27fe9aa2d06",
                    "arm64: fpsimd: Use assembler for SVE instructions",
                ),
                Commit(
                    "db9d63eafeba",
                    "arm64: fpsimd: Use assembler for baseline SME instructions",
                ),
                Commit(
                    "3f26d7c6544c",
                    "arm64: fpsimd: Move sve_get_vl() and sme_get_vl() inline",
                ),
                Commit(
                    "36a1d1726634",
                    "arm64: sysreg: Add FPCR and FPSR",
                ),
                Commit(
                    "1277531fca43",
                    "arm64: fpsimd: Split FPSR/FPCR from SVE save/restore",
                ),
                Commit(
                    "890712d4507b",
                    "arm64: fpsimd: Move fpsimd save/restore inline",
                ),
                Commit(
                    "e1b163e40553",
                    "arm64: fpsimd: Use opaque type for SVE state",
                ),
                Commit(
                    "eb1a68a00c0a",
                    "arm64: fpsimd: Use opaque type for SME state",
                ),
                Commit(
                    "2768101b3976",
                    "arm64: fpsimd: Move SVE save/restore inline",
                ),
                Commit(
                    "18618d9ea1fb",
                    "arm64: fpsimd: Move sve_flush_live() inline",
                ),
                Commit(
                    "bfdfafd90720",
                    "arm64: fpsimd: Move SME save/restore inline",
                ),
                Commit(
                    "987ec51e1841",
                    "arm64: fpsimd: Remove <asm/fpsimdmacros.h>",
                ),
            ),
            repairs=("95fcec713259",),
            link="20260603110630.1027435-1-mark.rutland@arm.com",
        ),
        Fix(
            "pkvm-host-ctxt",
            "refactor",
            "v7.2",
            "protected mode: the host's FPMR and SVE state in structures of their own -> in "
            "host_ctxt and arm64_sve_state",
            (
                Commit("da20bb4bc5e6", "KVM: arm64: pkvm: Save host FPMR in host cpu context"),
                Commit("afd7af2b56ec", "KVM: arm64: pkvm: Remove struct cpu_sve_state"),
            ),
            requires=("pkvm-host-sve",),
            link="20260603110630.1027435-1-mark.rutland@arm.com",
        ),
        Fix(
            "c1-pro-dvmsync",
            "outside",
            "v7.1",
            "C1-Pro erratum 4193714: TLB maintenance does not wait for SME's accesses to memory -> "
            "the CPUs whose EL0 has SME open get an IPI; no FP state changes",
            (
                Commit(
                    "0baba94a9779",
                    "arm64: errata: Work around early CME DVMSync acknowledgement",
                ),
            ),
        ),
        Fix(
            "nv-fp-elision",
            "outside",
            "v7.2",
            "nested guests: every exception and ERET between L2 and L1 saves and flushes the FP "
            "state -> it stays in the registers",
            (
                Commit("27ae400e6e88", "KVM: arm64: nv: Track L2 to L1 exception emulation"),
                Commit(
                    "435c46619614",
                    "KVM: arm64: nv: Don't save/restore FP register during a nested ERET or "
                    "exception",
                ),
            ),
        ),
    ),
    HYBRIDS,
    (Build("CONFIG_ARM64_SME", "sme", "sme-host", "sme-broken", "sme-built"),),
)
