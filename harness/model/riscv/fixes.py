"""The fixes of the RISC-V model: what each changes, where it landed, who says so.

Ids, commits, titles and releases are upstream's; `what` is in our words. A row
for each extension id that KVM learnt, and for each change of what a register
gives. A `refactor` is listed so that a backport can name it and be told what it
needs, but it changes no step, so it is no switch. A table, as long as history is.
"""

from __future__ import annotations

from harness.model.catalogue import Catalogue, Commit, Fix
from harness.model.riscv.hybrids import HYBRIDS

CATALOGUE = Catalogue(
    (
        Fix(
            "isa-zicbom",
            "feature",
            "v6.1",
            "KVM as it is modelled from here on, with ids 0 to 11 of ISA extensions",
            (Commit("afd5dde9a186", "RISC-V: KVM: Provide UAPI for Zicbom block size"),),
        ),
        Fix(
            "config-size-check",
            "fix",
            "v6.2",
            "the test for bits beyond the letters is made of every CONFIG register -> of isa alone",
            (
                Commit(
                    "e482d9e33d5b",
                    "RISC-V: KVM: Fix reg_val check in kvm_riscv_vcpu_set_reg_config()",
                ),
            ),
            repairs=("9bfd900beeec",),
        ),
        Fix(
            "machine-ids",
            "feature",
            "v6.2",
            "CONFIG has isa and zicbom_block_size -> and mvendorid, marchid and mimpid, the "
            "host's until set; EBUSY after the first run",
            (
                Commit(
                    "6ebbdecff6ae",
                    "RISC-V: KVM: Add ONE_REG interface for mvendorid, marchid, and mimpid",
                ),
            ),
        ),
        Fix(
            "sbi-errors",
            "rework",
            "v6.3",
            "the SBI's handlers return an errno, which becomes an SBI error -> an SBI error, which "
            "HSM's hart_get_status loses: a hart that does not exist is a success",
            (
                Commit(
                    "bae0dfd74e01",
                    "RISC-V: KVM: Modify SBI extension handler to return SBI error code",
                ),
            ),
        ),
        Fix(
            "sbi-pmu",
            "feature",
            "v6.3",
            "a guest reads every counter, and has no PMU -> the time alone; SBI has PMU where the "
            "host has Sscofpmf and counters; without them cycle and instret read zero",
            (
                Commit("cbddc4c4cb9e", "RISC-V: KVM: Add SBI PMU extension support"),
                Commit("470926a2900c", "RISC-V: KVM: Make PMU functionality depend on Sscofpmf"),
                Commit("f04bafb52f58", "RISC-V: KVM: Disable all hpmcounter access for VS/VU mode"),
                Commit("a9ac6c37521f", "RISC-V: KVM: Implement trap & emulate for hpmcounters"),
            ),
        ),
        Fix(
            "redirect-spp",
            "fix",
            "v6.3",
            "a trap that KVM gives to the guest leaves the mode in sstatus.SPP as it was -> S",
            (
                Commit(
                    "06723e124fcb",
                    "RISC-V: KVM: Fix privilege mode setting in kvm_riscv_vcpu_trap_redirect()",
                ),
            ),
            repairs=("9f7013265112",),
            link="20230128082847.3055316-1-apatel@ventanamicro.com",
        ),
        Fix(
            "redirect-illegal",
            "feature",
            "v6.3",
            "an illegal instruction that comes to KVM ends KVM_RUN with EFAULT -> given to the "
            "guest",
            (Commit("cdeb59bbf19f", "RISC-V: KVM: Redirect illegal instruction traps to guest"),),
        ),
        Fix(
            "sbi-ext-regs",
            "feature",
            "v6.4",
            "type 8 unknown -> SBI extensions can be disabled before the first run, one by one "
            "and by word",
            (
                Commit(
                    "96b3d4bd93f9",
                    "RISC-V: KVM: Add ONE_REG interface to enable/disable SBI extensions",
                ),
            ),
        ),
        Fix(
            "isa-zicboz",
            "feature",
            "v6.4",
            "id 12 ZICBOZ unknown -> CBZE, and the register zicboz_block_size",
            (
                Commit("665fd8862413", "RISC-V: KVM: Provide UAPI for Zicboz block size"),
                Commit("b20f67994f35", "RISC-V: KVM: Expose Zicboz to the guest"),
            ),
        ),
        Fix(
            "isa-zbb",
            "feature",
            "v6.4",
            "id 13 ZBB unknown -> known, not to be disabled",
            (Commit("90deec51d726", "RISC-V: KVM: Allow Zbb extension for Guest/VM"),),
        ),
        Fix(
            "isa-ssaia",
            "feature",
            "v6.4",
            "id 14 SSAIA unknown, CSR registers without subtypes -> known, and seven AIA CSR "
            "registers",
            (
                Commit("7d50dd501201", "RISC-V: KVM: Implement subtype for CSR ONE_REG interface"),
                Commit("78f94c082a2f", "RISC-V: KVM: Add ONE_REG interface for AIA CSRs"),
                Commit("2f4d58f7635a", "RISC-V: KVM: Virtualize per-HART AIA CSRs"),
            ),
        ),
        Fix(
            "isa-v",
            "feature",
            "v6.5",
            "id 15 V unknown -> known, and to be had where the caller's prctl has V on",
            (Commit("bf78f1ea6e51", "riscv: kvm: Add V extension to KVM ISA"),),
        ),
        Fix(
            "vector-lazy",
            "feature",
            "v6.5",
            "a guest has no V state -> saved when dirty and loaded when not off, like FP; type 9",
            (Commit("0f4b82579716", "riscv: KVM: Add vector lazy save/restore support"),),
            requires=("isa-v",),
        ),
        Fix(
            "isa-svnapot",
            "feature",
            "v6.5",
            "id 16 SVNAPOT unknown -> known, not to be disabled",
            (Commit("d75b33622578", "RISC-V: KVM: Allow Svnapot extension for Guest/VM"),),
        ),
        Fix(
            "sbi-probe",
            "rework",
            "v6.5",
            "an SBI extension is enabled or disabled -> or cannot be had, if its probe says so at "
            "the first call (PMU); once disabled it stays so",
            (Commit("95c99104cb42", "RISC-V: KVM: Probe for SBI extension status"),),
            requires=("sbi-ext-regs",),
        ),
        Fix(
            "redirect-misaligned",
            "feature",
            "v6.5",
            "a misaligned load or store that comes to KVM ends KVM_RUN with EFAULT -> given to "
            "the guest",
            (
                Commit(
                    "19bff88e65b5", "RISC-V: KVM: Redirect AMO load/store misaligned traps to guest"
                ),
            ),
        ),
        Fix(
            "v-prctl",
            "feature",
            "v6.5",
            "no control of V -> a task's V can be off, which KVM asks when it enables V for a vcpu",
            (Commit("1fd96a3e9d5d", "riscv: Add prctl controls for userspace vector management"),),
        ),
        Fix(
            "v-syscall-discard",
            "rework",
            "v6.5",
            "a task's V registers outlive a syscall -> set to ones, vtype ill, VS dirty",
            (Commit("9657e9b7d253", "riscv: Discard vector state on syscalls"),),
            requires=("v-prctl",),
        ),
        Fix(
            "v-clear-first-use",
            "fix",
            "v6.5",
            "a task's first V instruction finds the registers as another left them -> a zeroed "
            "image, loaded on the way out",
            (Commit("75b59f2a90aa", "riscv: vector: clear V-reg in the first-use trap"),),
            requires=("v-prctl",),
            untagged="unseen",
        ),
        Fix(
            "onereg-factored",
            "refactor",
            "v6.6",
            "ONE_REG in vcpu.c -> vcpu_onereg.c",
            (
                Commit(
                    "e98b1085be79",
                    "RISC-V: KVM: Factor-out ONE_REG related code to its own source file",
                ),
            ),
        ),
        Fix(
            "onereg-multi",
            "feature",
            "v6.6",
            "ISA_EXT has one register per extension -> and one per word to enable, one to "
            "disable; errors swallowed",
            (
                Commit(
                    "613029442a4b",
                    "RISC-V: KVM: Extend ONE_REG to enable/disable multiple ISA extensions",
                ),
            ),
            requires=("onereg-factored",),
        ),
        Fix(
            "isa-zba-zbs",
            "feature",
            "v6.6",
            "ids 17 ZBA and 18 ZBS unknown -> known, not to be disabled",
            (Commit("41716861e425", "RISC-V: KVM: Allow Zba and Zbs extensions for Guest/VM"),),
        ),
        Fix(
            "isa-zicntr",
            "feature",
            "v6.6",
            "ids 19 to 22 (ZICNTR ZICSR ZIFENCEI ZIHPM) unknown -> known, not to be disabled",
            (
                Commit(
                    "043cba064ecd",
                    "RISC-V: KVM: Allow Zicntr, Zicsr, Zifencei, and Zihpm for Guest/VM",
                ),
            ),
        ),
        Fix(
            "satp-mode",
            "feature",
            "v6.6",
            "CONFIG has no satp_mode -> the host's, EINVAL for any other",
            (Commit("2776421e6839", "RISC-V: KVM: provide UAPI for host SATP mode"),),
        ),
        Fix(
            "onereg-enoent",
            "rework",
            "v6.6",
            "EINVAL for a register that KVM does not know or the vcpu does not have, EOPNOTSUPP "
            "for an extension the host does not have -> ENOENT",
            (
                Commit(
                    "2a88f38cd58d", "RISC-V: KVM: return ENOENT in *_one_reg() when reg is unknown"
                ),
                Commit(
                    "a044ef71043e",
                    "RISC-V: KVM: use ENOENT in *_one_reg() when extension is unavailable",
                ),
            ),
        ),
        Fix(
            "onereg-ebusy",
            "rework",
            "v6.6",
            "EOPNOTSUPP for isa and ISA_EXT after the first run, for a block size and for the "
            "timer's frequency -> EBUSY after the run, EINVAL for a size or a frequency that is "
            "not the host's",
            (
                Commit("d57304bbfb74", "RISC-V: KVM: use EBUSY when !vcpu->arch.ran_atleast_once"),
                Commit(
                    "e29f57911d61", "RISC-V: KVM: do not EOPNOTSUPP in set_one_reg() zicbo(m|z)"
                ),
                Commit(
                    "432a8b35cc23", "RISC-V: KVM: do not EOPNOTSUPP in set KVM_REG_RISCV_TIMER_REG"
                ),
            ),
        ),
        Fix(
            "onereg-same-value",
            "rework",
            "v6.6",
            "after the first run every write of isa, a machine id or ISA_EXT fails -> not one of "
            "the value that it has",
            (
                Commit("bea8d23713a2", "RISC-V: KVM: avoid EBUSY when writing same ISA val"),
                Commit(
                    "63bd660657ef", "RISC-V: KVM: avoid EBUSY when writing the same machine ID val"
                ),
                Commit(
                    "1099c80906d3", "RISC-V: KVM: avoid EBUSY when writing the same isa_ext val"
                ),
            ),
            requires=("onereg-ebusy", "machine-ids"),
        ),
        Fix(
            "vector-onereg-errors",
            "rework",
            "v6.6",
            "a V register that does not exist or that the vcpu does not have: EINVAL, like a wrong "
            "size -> ENOENT",
            (
                Commit("1deaf754f531", "RISC-V: KVM: Improve vector save/restore errors"),
                Commit("630b4cee9c37", "RISC-V: KVM: Improve vector save/restore functions"),
            ),
            requires=("vector-lazy",),
        ),
        Fix(
            "reglist",
            "feature",
            "v6.6",
            "no KVM_GET_REG_LIST -> lists what the vcpu has",
            (Commit("031f9efafc08", "KVM: riscv: Add KVM_GET_REG_LIST API support"),),
            requires=("onereg-factored",),
            link="5b191107ed1b345157c79d30608f4bea928d5357.1690273969.git.haibo1.xu@intel.com",
        ),
        Fix(
            "reglist-isa-host",
            "fix",
            "v6.6",
            "an ISA_EXT register is listed if the vcpu has the extension -> if the host has",
            (
                Commit(
                    "ef4d48368587", "RISC-V: KVM: Fix KVM_GET_REG_LIST API for ISA_EXT registers"
                ),
            ),
            requires=("reglist",),
            repairs=("031f9efafc08",),
            link="20230920154608.1447057-2-apatel@ventanamicro.com",
        ),
        Fix(
            "isa-get-missing",
            "fix",
            "v6.6",
            "reading ISA_EXT of an extension that the host does not have: 0 -> ENOENT",
            (
                Commit(
                    "17f71a2a340f",
                    "RISC-V: KVM: Fix riscv_vcpu_get_isa_ext_single() for missing extensions",
                ),
            ),
            requires=("onereg-enoent",),
            repairs=("e98b1085be79",),
            link="20230920154608.1447057-3-apatel@ventanamicro.com",
        ),
        Fix(
            "vcpu-config",
            "refactor",
            "v6.7",
            "henvcfg made of the ISA bitmap at each load -> once, at the first run (no ISA change "
            "after it)",
            (Commit("fe0bab701e3b", "RISC-V: KVM: Add kvm_vcpu_config"),),
        ),
        Fix(
            "smstateen",
            "feature",
            "v6.7",
            "id 23 unknown, hstateen0 left alone -> made at the first run, sstateen0 swapped at "
            "entry and exit, a CSR register; SSAIA can be disabled where the host has Smstateen",
            (
                Commit("d21b5d342fc1", "RISC-V: KVM: Enable Smstateen accesses"),
                Commit("81f0f314fec9", "RISCV: KVM: Add sstateen0 context save/restore"),
                Commit("c04913f2b54e", "RISCV: KVM: Add sstateen0 to ONE_REG"),
            ),
            requires=("vcpu-config", "isa-ssaia"),
        ),
        Fix(
            "cbo-zero-user",
            "feature",
            "v6.7",
            "senvcfg is left as firmware had it -> user space may execute CBO.ZERO",
            (Commit("43c16d51a19b", "RISC-V: Enable cbo.zero in usermode"),),
        ),
        Fix(
            "senvcfg-switch",
            "feature",
            "v6.7",
            "host and guests share senvcfg -> swapped at entry and exit, a CSR register",
            (Commit("db3c01c7a308", "RISCV: KVM: Add senvcfg context save/restore"),),
            requires=("vcpu-config",),
        ),
        Fix(
            "isa-zicond",
            "feature",
            "v6.7",
            "id 24 ZICOND unknown -> known, not to be disabled",
            (Commit("df68f4d8cb49", "RISC-V: KVM: Allow Zicond extension for Guest/VM"),),
        ),
        Fix(
            "sbi-spec-2",
            "feature",
            "v6.7",
            "the SBI says that it is version 1.0 -> 2.0",
            (Commit("b88e87a0a1ec", "RISC-V: KVM: Change the SBI specification version to v2.0"),),
        ),
        Fix(
            "sbi-dbcn",
            "feature",
            "v6.7",
            "SBI id 9 DBCN unknown -> known, disabled until user space asks; an extension is "
            "probed at the vcpu's creation, not when it is called first, and can be enabled again",
            (
                Commit(
                    "56d8a385b605",
                    "RISC-V: KVM: Allow some SBI extensions to be disabled by default",
                ),
                Commit("c667ad229d13", "RISC-V: KVM: Forward SBI DBCN extension to user-space"),
            ),
            requires=("sbi-probe",),
        ),
        Fix(
            "vlenb-reg",
            "feature",
            "v6.8",
            "the V registers start at index 5, vlenb is not to be read -> vlenb is index 4, takes "
            "the value that it has alone; the V registers start at 6",
            (
                Commit(
                    "197bd237b672",
                    "RISC-V: KVM: set 'vlenb' in kvm_riscv_vcpu_alloc_vector_context()",
                ),
                Commit("2fa290372dfe", "RISC-V: KVM: add 'vlenb' Vector CSR"),
            ),
            requires=("vector-onereg-errors",),
        ),
        Fix(
            "reglist-vector",
            "feature",
            "v6.8",
            "V registers are not listed -> are, if the vcpu has V",
            (
                Commit(
                    "3975525e5545", "RISC-V: KVM: add vector registers and CSRs in KVM_GET_REG_LIST"
                ),
            ),
            requires=("reglist", "vlenb-reg"),
        ),
        Fix(
            "reglist-no-sbi-multi",
            "fix",
            "v6.8",
            "the words of SBI_EXT are listed -> are not",
            (Commit("7f58de96aa5e", "RISC-V: KVM: Don't add SBI multi regs in get-reg-list"),),
            requires=("reglist", "sbi-ext-regs"),
            untagged="unseen",
        ),
        Fix(
            "sbi-enoent",
            "rework",
            "v6.8",
            "an SBI extension that cannot be had reads as disabled, can be enabled and is listed "
            "-> ENOENT, not listed",
            (Commit("23e1dc45022e", "RISC-V: KVM: Make SBI uapi consistent with ISA uapi"),),
            requires=("sbi-dbcn",),
        ),
        Fix(
            "sbi-sta",
            "feature",
            "v6.8",
            "SBI id 10 STA and type 10 unknown -> steal time, two registers",
            (
                Commit("5b9e41321ba9", "RISC-V: KVM: Add support for SBI extension registers"),
                Commit("f61ce890b1f0", "RISC-V: KVM: Add support for SBI STA registers"),
                Commit("e9f12b5fff8a", "RISC-V: KVM: Implement SBI STA extension"),
            ),
            requires=("sbi-dbcn", "reglist"),
        ),
        Fix(
            "isa-zbc",
            "feature",
            "v6.8",
            "id 25 ZBC unknown -> known, not to be disabled",
            (Commit("367188297254", "RISC-V: KVM: Allow Zbc extension for Guest/VM"),),
        ),
        Fix(
            "isa-zk",
            "feature",
            "v6.8",
            "ids 26 to 35 (ZBKB ZBKC ZBKX ZKND ZKNE ZKNH ZKR ZKSED ZKSH ZKT) unknown -> known, "
            "not to be disabled",
            (Commit("f370b4e668f0", "RISC-V: KVM: Allow scalar crypto extensions for Guest/VM"),),
        ),
        Fix(
            "isa-zvk",
            "feature",
            "v6.8",
            "ids 36 to 45 (ZVBB ZVBC ZVKB ZVKG ZVKNED ZVKNHA ZVKNHB ZVKSED ZVKSH ZVKT) unknown -> "
            "known, not to be disabled",
            (Commit("afd1ef3adfbc", "RISC-V: KVM: Allow vector crypto extensions for Guest/VM"),),
        ),
        Fix(
            "isa-zfh",
            "feature",
            "v6.8",
            "ids 46 ZFH and 47 ZFHMIN unknown -> known, not to be disabled",
            (Commit("f3901ece5b38", "RISC-V: KVM: Allow Zfh[min] extensions for Guest/VM"),),
        ),
        Fix(
            "isa-zihintntl",
            "feature",
            "v6.8",
            "id 48 ZIHINTNTL unknown -> known, not to be disabled",
            (Commit("ab6da9cdc3f3", "RISC-V: KVM: Allow Zihintntl extension for Guest/VM"),),
        ),
        Fix(
            "isa-zvfh",
            "feature",
            "v6.8",
            "ids 49 ZVFH and 50 ZVFHMIN unknown -> known, not to be disabled",
            (Commit("f46300285926", "RISC-V: KVM: Allow Zvfh[min] extensions for Guest/VM"),),
        ),
        Fix(
            "isa-zfa",
            "feature",
            "v6.8",
            "id 51 ZFA unknown -> known, not to be disabled",
            (Commit("41182cc6f507", "RISC-V: KVM: Allow Zfa extension for Guest/VM"),),
        ),
        Fix(
            "kernel-vector",
            "feature",
            "v6.8",
            "the kernel does not use V -> between kernel_vector_begin() and _end(), user "
            "registers saved first",
            (Commit("ecd2ada8a5e0", "riscv: Add support for kernel mode vector"),),
            requires=("v-prctl",),
        ),
        Fix(
            "v-defer-restore",
            "rework",
            "v6.8",
            "a task's V registers are loaded at each switch to it -> on its way to user space",
            (Commit("7df56cbc27e4", "riscv: sched: defer restoring Vector context for user"),),
            requires=("kernel-vector",),
        ),
        Fix(
            "v-preemptible",
            "feature",
            "v6.8",
            "a section with V cannot be preempted -> it has an image of its own where "
            "CONFIG_RISCV_ISA_V_PREEMPTIVE is set",
            (Commit("2080ff949307", "riscv: vector: allow kernel-mode Vector with preemption"),),
            requires=("v-defer-restore",),
        ),
        Fix(
            "envcfg-resume",
            "fix",
            "v6.8",
            "senvcfg is lost where a CPU sleeps -> saved and restored",
            (Commit("05ab803d1ad8", "riscv: Save/restore envcfg CSR during CPU suspend"),),
            repairs=("43c16d51a19b",),
            link="20240228065559.3434837-4-samuel.holland@sifive.com",
        ),
        Fix(
            "seed-forward",
            "fix",
            "v6.9",
            "seed is an illegal instruction in a guest with Zkr -> KVM_EXIT_RISCV_CSR",
            (Commit("d808f0b1be48", "RISC-V: KVM: Forward SEED CSR access to user space"),),
            requires=("isa-zk",),
            repairs=("f370b4e668f0",),
        ),
        Fix(
            "isa-ztso",
            "feature",
            "v6.9",
            "id 52 ZTSO unknown -> known, not to be disabled",
            (Commit("f943ebe2ec26", "RISC-V: KVM: Allow Ztso extension for Guest/VM"),),
        ),
        Fix(
            "isa-zacas",
            "feature",
            "v6.9",
            "id 53 ZACAS unknown -> known, not to be disabled",
            (Commit("77fc0bfa43f8", "RISC-V: KVM: Allow Zacas extension for Guest/VM"),),
        ),
        Fix(
            "rt-sigreturn-v",
            "fix",
            "v6.9",
            "rt_sigreturn takes V from the frame, and what the syscall discarded is saved over it "
            "-> marked to be loaded before it is copied",
            (Commit("c27fa53b858b", "riscv: Fix vector state restore in rt_sigreturn()"),),
            requires=("v-defer-restore", "v-syscall-discard"),
            repairs=("c2a658d41924",),
            link="20240403072638.567446-1-bjorn@kernel.org",
        ),
        Fix(
            # 6.9.8 has it too.
            "v-insn-width",
            "fix",
            "v6.10",
            "a program whose first vector instruction is a load or store by an odd register is "
            "killed: the register's lowest bit counts as one of the width's -> it can go on",
            (Commit("04a2aef59cfe", "RISC-V: fix vector insn load/store width mask"),),
            requires=("v-prctl",),
            repairs=("cd054837243b",),
            link="20240606182800.415831-1-jesse@rivosinc.com",
        ),
        Fix(
            "guest-debug",
            "feature",
            "v6.10",
            "KVM_SET_GUEST_DEBUG: EINVAL, breakpoints are the guest's -> hedeleg has breakpoints "
            "or not, by vcpu",
            (
                Commit(
                    "edcbe90f1289", "RISC-V: KVM: Implement kvm_arch_vcpu_ioctl_set_guest_debug()"
                ),
                Commit("1df1fb521b9d", "RISC-V: KVM: Handle breakpoint exits for VCPU"),
            ),
            requires=("vcpu-config",),
        ),
        Fix(
            "isa-sscofpmf",
            "feature",
            "v6.10",
            "id 54 SSCOFPMF unknown -> known where the host has Ssaia, not to be disabled",
            (Commit("16b0bde9a37c", "RISC-V: KVM: Add perf sampling support for guests"),),
            requires=("isa-ssaia",),
        ),
        Fix(
            "isa-zimop",
            "feature",
            "v6.11",
            "id 55 ZIMOP unknown -> known, not to be disabled",
            (Commit("fb2a3d63efef", "RISC-V: KVM: Allow Zimop extension for Guest/VM"),),
        ),
        Fix(
            "isa-zc",
            "feature",
            "v6.11",
            "ids 56 to 59 (ZCA ZCB ZCD ZCF) unknown -> known, not to be disabled",
            (
                Commit(
                    "d964e8f2ae65",
                    "RISC-V: KVM: Allow Zca, Zcf, Zcd and Zcb extensions for Guest/VM",
                ),
            ),
        ),
        Fix(
            "isa-zcmop",
            "feature",
            "v6.11",
            "id 60 ZCMOP unknown -> known, not to be disabled",
            (Commit("29cf9b803e6e", "RISC-V: KVM: Allow Zcmop extension for Guest/VM"),),
        ),
        Fix(
            "isa-zawrs",
            "feature",
            "v6.11",
            "id 61 ZAWRS unknown, wrs.nto an illegal instruction -> known, not to be disabled; "
            "the vcpu yields",
            (Commit("86d6a86e59e3", "KVM: riscv: Support guest wrs.nto"),),
        ),
        Fix(
            "redirect-access",
            "feature",
            "v6.11",
            "a load or store access fault that comes to KVM ends KVM_RUN with EFAULT -> given to "
            "the guest",
            (
                Commit(
                    "e325618349cd",
                    "RISC-V: KVM: Redirect AMO load/store access fault traps to guest",
                ),
            ),
        ),
        Fix(
            "smnpm-v4",
            "variant",
            None,
            "SMNPM is refused when it is disabled -> accepted, which clears the bit that it "
            "shares with SSNPM and no more",
            requires=("smnpm-v5",),
            link="20240829010151.2813377-10-samuel.holland@sifive.com",
        ),
        Fix(
            "smnpm-v5",
            "feature",
            "v6.13",
            "ids 62 SMNPM and 63 SSNPM unknown -> known, not to be disabled, one bit for both",
            (Commit("1851e7836212", "RISC-V: KVM: Allow Smnpm and Ssnpm extensions for guests"),),
            link="20241016202814.4061541-10-samuel.holland@sifive.com",
        ),
        Fix(
            "smnpm-on-at-boot",
            "variant",
            None,
            "VS-mode masks nothing until it asks for that -> from the first run on, if the vcpu "
            "has Smnpm, by the shortest PMLEN there is",
            requires=("smnpm-v5",),
            link="8e474b14-e963-4d3e-8240-37f662e7bd8a@sifive.com",
        ),
        Fix(
            "svadu-svade",
            "feature",
            "v6.13",
            "ids 64 SVADE and 65 SVADU unknown, ADUE never set -> known; ADUE at the first run if "
            "the vcpu has SVADU and not SVADE",
            (
                Commit(
                    "97eccf7db4f2",
                    "RISC-V: KVM: Add Svade and Svadu Extensions Support for Guest/VM",
                ),
            ),
            requires=("vcpu-config",),
        ),
        Fix(
            # 6.12.114 has it too.
            "cbo-zero-all-harts",
            "outside",
            "v6.13",
            "a hart with Zicboz lets programs execute CBO.ZERO, whatever the others have -> where "
            "all have it",
            (Commit("1b57747e978f", "riscv: Enable cbo.zero only when all harts support Zicboz"),),
            requires=("cbo-zero-user",),
        ),
        Fix(
            # 6.12.114 has it too.
            "envcfg-per-thread",
            "rework",
            "v6.13",
            "senvcfg is the CPU's, set when it comes on line -> the thread's, written at each "
            "switch",
            (Commit("5fc7355f0137", "riscv: Add support for per-thread envcfg CSR values"),),
            requires=("cbo-zero-user",),
        ),
        Fix(
            "host-pointer-masking",
            "feature",
            "v6.13",
            "no PR_SET_TAGGED_ADDR_CTRL -> a thread's PMM in senvcfg, an mm's tagged addresses; "
            "PMLEN is rounded up",
            (
                Commit("09d6775f503b", "riscv: Add support for userspace pointer masking"),
                Commit("2e1743085887", "riscv: Add support for the tagged address ABI"),
                Commit("78844482a1c9", "riscv: Allow ptrace control of the tagged address ABI"),
            ),
            requires=("envcfg-per-thread",),
        ),
        Fix(
            "isa-svvptc",
            "feature",
            "v6.14",
            "id 66 SVVPTC unknown -> known, not to be disabled",
            (Commit("0f8915859716", "RISC-V: KVM: Allow Svvptc extension for Guest/VM"),),
        ),
        Fix(
            "isa-zabha",
            "feature",
            "v6.14",
            "id 67 ZABHA unknown -> known, not to be disabled",
            (Commit("679e132c0ae2", "RISC-V: KVM: Allow Zabha extension for Guest/VM"),),
        ),
        Fix(
            "isa-ziccrse",
            "feature",
            "v6.14",
            "id 68 ZICCRSE unknown -> known, not to be disabled",
            (Commit("79be257b579e", "RISC-V: KVM: Allow Ziccrse extension for Guest/VM"),),
        ),
        Fix(
            "sbi-susp",
            "feature",
            "v6.14",
            "SBI id 11 SUSP unknown -> known, disabled until user space asks",
            (Commit("023c15151fbb", "RISC-V: KVM: Add SBI system suspend support"),),
            requires=("sbi-dbcn",),
        ),
        Fix(
            "sbi-hsm-suspend-status",
            "fix",
            "v6.14",
            "hart_get_status of a hart that waits for an interrupt: started -> suspended",
            (Commit("c7db342e3b47", "riscv: KVM: Fix hart suspend status check"),),
            repairs=("763c8bed8c05",),
            link="20250217084506.18763-8-ajones@ventanamicro.com",
        ),
        Fix(
            "sbi-hsm-suspend-type",
            "fix",
            "v6.14",
            "hart_suspend takes 64 bits of its type -> 32",
            (Commit("e3219b0c491f", "riscv: KVM: Fix hart suspend_type use"),),
            repairs=("763c8bed8c05",),
            link="20250217084506.18763-9-ajones@ventanamicro.com",
        ),
        Fix(
            "sbi-ipi-errors",
            "fix",
            "v6.14",
            "a function that IPI does not have: INVALID_PARAM, a hart that does not exist: nothing "
            "-> NOT_SUPPORTED and INVALID_PARAM",
            (Commit("0611f78f83c9", "riscv: KVM: Fix SBI IPI error generation"),),
            repairs=("5f862df5585c",),
            link="20250217084506.18763-10-ajones@ventanamicro.com",
        ),
        Fix(
            "sbi-time-errors",
            "fix",
            "v6.14",
            "a function that TIME does not have: INVALID_PARAM -> NOT_SUPPORTED",
            (Commit("b90148485299", "riscv: KVM: Fix SBI TIME error generation"),),
            repairs=("5f862df5585c",),
            link="20250217084506.18763-11-ajones@ventanamicro.com",
        ),
        Fix(
            "sbi-susp-type",
            "fix",
            "v6.14",
            "system_suspend takes 64 bits of its type -> 32",
            (Commit("351e02b1733b", "riscv: KVM: Fix SBI sleep_type use"),),
            requires=("sbi-susp",),
            repairs=("023c15151fbb",),
            link="20250217084506.18763-12-ajones@ventanamicro.com",
        ),
        Fix(
            "redirect-inst-access",
            "feature",
            "v6.14",
            "an instruction access fault that comes to KVM ends KVM_RUN with EFAULT -> given to "
            "the guest",
            (
                Commit(
                    "51c58956732b", "RISC-V: KVM: Redirect instruction access fault trap to guest"
                ),
            ),
        ),
        Fix(
            "isa-zaamo-zalrsc",
            "feature",
            "v6.15",
            "ids 69 ZAAMO and 70 ZALRSC unknown -> known, not to be disabled",
            (Commit("2d79608cf611", "RISC-V: KVM: Allow Zaamo/Zalrsc extensions for Guest/VM"),),
        ),
        Fix(
            "sstateen-reset",
            "fix",
            "v6.15",
            "sstateen0 outlives a reset of the vcpu -> 0",
            (Commit("87ec7d5249bb", "KVM: RISC-V: reset smstateen CSRs"),),
            requires=("smstateen",),
            repairs=("81f0f314fec9",),
            link="20250403112522.1566629-8-rkrcmar@ventanamicro.com",
        ),
        Fix(
            "supm-get-check",
            "fix",
            "v6.15",
            "PR_GET_TAGGED_ADDR_CTRL on a CPU without pointer masking: 0 -> EINVAL",
            (Commit("7f1c3de1370b", "riscv: Disallow PR_GET_TAGGED_ADDR_CTRL without Supm"),),
            requires=("host-pointer-masking",),
            repairs=("09d6775f503b",),
        ),
        Fix(
            # 6.12.114 has it too.
            "sum-per-thread",
            "outside",
            "v6.16",
            "where a task sleeps in the middle of an access to user memory, sstatus.SUM stays set "
            "for the next task, and is lost for this one -> it is the thread's",
            (Commit("788aa64c01f1", "riscv: save the SR_SUM status over switches"),),
            link="20250410070526.3160847-2-cyrilbur@tenstorrent.com",
        ),
        Fix(
            "vector-reset-vlenb",
            "refactor",
            "v6.16",
            "vlenb from the reset context -> set by the reset of V",
            (Commit("9ffecf04144d", "KVM: RISC-V: refactor vector state reset"),),
            requires=("vlenb-reg",),
        ),
        Fix(
            "scounteren-zero",
            "rework",
            "v6.16",
            "scounteren is 7 after a reset of the vcpu -> 0",
            (Commit("5bc409786752", "RISC-V: KVM: Remove scounteren initialization"),),
            link="20250515-fix_scounteren_vs-v3-1-729dc088943e@rivosinc.com",
        ),
        Fix(
            "mp-state-reset",
            "feature",
            "v6.16",
            "KVM_MP_STATE_INIT_RECEIVED: EINVAL -> resets the vcpu, if the VM's "
            "KVM_CAP_RISCV_MP_STATE_RESET is on",
            (Commit("5b9db9c16f42", "RISC-V: KVM: add KVM_CAP_RISCV_MP_STATE_RESET"),),
        ),
        Fix(
            "sbi-hfence-errors",
            "fix",
            "v6.16",
            "HFENCE calls do nothing and succeed -> NOT_SUPPORTED, without nested guests",
            (Commit("2e7be1629966", "RISC-V: KVM: Don't treat SBI HFENCE calls as NOPs"),),
            repairs=("c7fa3c48de86",),
            link="20250605061458.196003-3-apatel@ventanamicro.com",
        ),
        Fix(
            "smnpm-guest-bit",
            "fix",
            "v6.17",
            "SMNPM's bit in the vcpu's bitmap is SSNPM's -> its own; the host is still asked for "
            "SSNPM",
            (
                Commit(
                    "7826c8f37220", "RISC-V: KVM: Fix inclusion of Smnpm in the guest ISA bitmap"
                ),
            ),
            requires=("smnpm-v5",),
            repairs=("1851e7836212",),
            link="20250111004702.2813013-2-samuel.holland@sifive.com",
        ),
        Fix(
            "illegal-delegate",
            "rework",
            "v6.17",
            "an illegal instruction in a guest comes to KVM, which gives it back -> hedeleg has it",
            (Commit("3729fe8cbb48", "RISC-V: KVM: Delegate illegal instruction fault to VS mode"),),
            requires=("redirect-illegal",),
        ),
        Fix(
            "vlenb-size-check",
            "fix",
            "v6.17",
            "vlenb is copied in the size that the id says, up to 256 bytes to a word on the stack "
            "-> EINVAL unless a word",
            (Commit("799766208f09", "RISC-V: KVM: fix stack overrun when loading vlenb"),),
            requires=("vlenb-reg",),
            repairs=("2fa290372dfe",),
            link="20250805104418.196023-4-rkrcmar@ventanamicro.com",
        ),
        Fix(
            "sbi-callbacks",
            "rework",
            "v6.17",
            "steal time is reset with the vcpu -> each SBI extension has init() and reset(), "
            "called while it is enabled",
            (
                Commit("cf648c400fd2", "RISC-V: KVM: add SBI extension init()/deinit() functions"),
                Commit("c046de827c85", "RISC-V: KVM: add SBI extension reset callback"),
            ),
            requires=("sbi-sta",),
        ),
        Fix(
            "sbi-spec-3",
            "feature",
            "v6.18",
            "the SBI says that it is version 2.0 -> 3.0",
            (Commit("dbdadd943a27", "RISC-V: KVM: Upgrade the supported SBI version to 3.0"),),
            requires=("sbi-spec-2",),
        ),
        Fix(
            "fwft-base",
            "feature",
            "v6.18",
            "SBI id 12 FWFT unknown -> known; misaligned_deleg",
            (
                Commit("6b72fd170592", "RISC-V: KVM: add support for FWFT SBI extension"),
                Commit("bb053f816a8b", "RISC-V: KVM: add support for SBI_FWFT_MISALIGNED_DELEG"),
            ),
            requires=("sbi-callbacks", "guest-debug"),
            link="20250523101932.1594077-14-cleger@rivosinc.com",
        ),
        Fix(
            "fwft-pmlen",
            "feature",
            "v6.18",
            "no POINTER_MASKING_PMLEN, SMNPM not to be disabled -> the guest sets henvcfg.PMM; "
            "SMNPM can be disabled",
            (
                Commit(
                    "6f576fc0aeb9", "RISC-V: KVM: Add support for SBI_FWFT_POINTER_MASKING_PMLEN"
                ),
            ),
            requires=("fwft-base", "smnpm-v5"),
        ),
        Fix(
            "fwft-round-up",
            "variant",
            None,
            "a PMLEN that is not 0, 7 or 16: INVALID_PARAM -> the next larger that there is",
            requires=("fwft-pmlen",),
            link="20250915053431.1910941-1-samuel.holland@sifive.com",
        ),
        Fix(
            "fwft-reset",
            "fix",
            "v6.18",
            "a reset of the vcpu leaves the values of FWFT -> puts them back",
            (Commit("a6250b18b5df", "RISC-V: KVM: Introduce feature specific reset for SBI FWFT"),),
            requires=("fwft-base",),
            untagged="none",
            link="20250823155947.1354229-3-apatel@ventanamicro.com",
        ),
        Fix(
            "fwft-onereg",
            "feature",
            "v6.18",
            "FWFT has no registers, and STA's work whether it is enabled or not -> three "
            "registers per feature; those of an extension that is not enabled: EINVAL",
            (
                Commit(
                    "699a53aedb18",
                    "RISC-V: KVM: Introduce optional ONE_REG callbacks for SBI extensions",
                ),
                Commit(
                    "85e7850e0dcd",
                    "RISC-V: KVM: Move copy_sbi_ext_reg_indices() to SBI implementation",
                ),
                Commit(
                    "48d67106f4a7", "RISC-V: KVM: Implement ONE_REG interface for SBI FWFT state"
                ),
            ),
            requires=("fwft-base",),
            link="20250817123324.239423-6-apatel@ventanamicro.com",
        ),
        Fix(
            "hedeleg-init-early",
            "fix",
            "v6.18",
            "the first run overwrites hedeleg -> it has its value from the vcpu's creation",
            (
                Commit(
                    "83df1d64d663",
                    "RISC-V: KVM: Set initial value of hedeleg in kvm_arch_vcpu_create()",
                ),
            ),
            requires=("guest-debug",),
            untagged="none",
            link="20250823155947.1354229-2-apatel@ventanamicro.com",
        ),
        Fix(
            "zicbo-block-host",
            "rework",
            "v6.18",
            "a block size is there if the vcpu has the extension -> if the host has",
            (
                Commit(
                    "eca26eadd27e",
                    "RISC-V: KVM: Change zicbom/zicboz block size to depend on the host isa",
                ),
            ),
            requires=("isa-zicboz",),
            link="fef5907425455ecd41b224e0093f1b6bc4067138.1754646071.git.zhouquan@iscas.ac.cn",
        ),
        Fix(
            "isa-zicbop",
            "feature",
            "v6.18",
            "id 71 ZICBOP unknown -> known, not to be disabled; zicbop_block_size",
            (
                Commit("48e2febcda74", "RISC-V: KVM: Provide UAPI for Zicbop block size"),
                Commit("0efd9a29c52d", "RISC-V: KVM: Allow Zicbop extension for Guest/VM"),
            ),
            requires=("zicbo-block-host",),
        ),
        Fix(
            "isa-bf16",
            "feature",
            "v6.18",
            "ids 72 to 74 (ZFBFMIN ZVFBFMIN ZVFBFWMA) unknown -> known, not to be disabled",
            (Commit("44c3d084e4c8", "RISC-V: KVM: Allow bfloat16 extension for Guest/VM"),),
        ),
        Fix(
            "sbi-dbcn-forward",
            "rework",
            "v6.19",
            "KVM refuses a function that DBCN does not have -> leaves that to user space too",
            (
                Commit(
                    "e2f3e2d37b06",
                    "RISC-V: KVM: Convert kvm_riscv_vcpu_sbi_forward() into extension handler",
                ),
                Commit(
                    "12fd6c62e9f6", "RISC-V: KVM: Add separate source for forwarded SBI extensions"
                ),
            ),
            requires=("sbi-dbcn",),
            link="20251017155925.361560-3-apatel@ventanamicro.com",
        ),
        Fix(
            "sbi-mpxy",
            "feature",
            "v6.19",
            "SBI id 13 MPXY unknown -> known, disabled until user space asks",
            (Commit("7050f1d79f1c", "RISC-V: KVM: Add SBI MPXY extension support for Guest"),),
            requires=("sbi-dbcn",),
        ),
        Fix(
            # 6.12.63 has it too.
            "hlv-guest-fault",
            "fix",
            "v6.19",
            "KVM reads an instruction whose page is gone from the G-stage: the guest gets KVM's "
            "load guest page fault -> the instruction is executed again",
            (Commit("974555d6e417", "RISC-V: KVM: Fix guest page fault within HLV* instructions"),),
            repairs=("b91f0e4cb8a3",),
            link="20251121133543.46822-1-fangyu.yu@linux.alibaba.com",
        ),
        Fix(
            "pmm-with-abi",
            "fix",
            "v7.0",
            "PR_SET_TAGGED_ADDR_CTRL without PR_TAGGED_ADDR_ENABLE masks user accesses -> masks "
            "nothing",
            (Commit("3033b2b1e394", "riscv: Reset pmm when PR_TAGGED_ADDR_ENABLE is not set"),),
            requires=("host-pointer-masking",),
            repairs=("2e1743085887",),
            link="20260322160022.21908-1-vulab@iscas.ac.cn",
        ),
        Fix(
            # 6.12.75 has it too.
            "ptrace-v-vlenb",
            "outside",
            "v7.0",
            "ptrace reads vlenb as 0 of a task that has not saved its V registers yet -> as it is",
            (Commit("ef3ff40346db", "riscv: vector: init vector context with proper vlenb"),),
            link="20251214163537.1054292-3-geomatsi@gmail.com",
        ),
        Fix(
            "isa-zilsd",
            "outside",
            "v7.0",
            "ids 75 ZCLSD and 76 ZILSD unknown -> known, for a 32-bit host",
            (Commit("f326e846ff89", "riscv: KVM: allow Zilsd and Zclsd extensions for Guest/VM"),),
        ),
        Fix(
            "isa-zalasr",
            "feature",
            "v7.0",
            "id 77 ZALASR unknown -> known, not to be disabled",
            (Commit("655d330c058f", "RISC-V: KVM: Allow Zalasr extensions for Guest/VM"),),
        ),
        Fix(
            "smstateen-errno",
            "fix",
            "v7.0",
            "sstateen0 is EINVAL if the host has no Smstateen, the AIA CSRs are there for any "
            "vcpu -> ENOENT for a vcpu without the extension",
            (
                Commit(
                    "45700a743af3", "RISC-V: KVM: Fix error code returned for Smstateen ONE_REG"
                ),
                Commit("24433b2b5c74", "RISC-V: KVM: Fix error code returned for Ssaia ONE_REG"),
            ),
            requires=("smstateen",),
            repairs=("c04913f2b54e", "2a88f38cd58d"),
            link="20260120080013.2153519-2-anup.patel@oss.qualcomm.com",
        ),
        Fix(
            "spectre-regs",
            "refactor",
            "v7.0",
            "user space's index is used as it is -> clamped",
            (
                Commit("ec87a82ca874", "KVM: riscv: Fix Spectre-v1 in AIA CSR access"),
                Commit(
                    "8f0c15c4b14f", "KVM: riscv: Fix Spectre-v1 in floating-point register access"
                ),
                Commit("2dda6a9e09ee", "KVM: riscv: Fix Spectre-v1 in PMU counter access"),
            ),
        ),
        Fix(
            "mmio-sign",
            "outside",
            "v7.1",
            "what a guest loads from MMIO into a part of a register is zero-extended -> "
            "sign-extended where the instruction says so",
            (Commit("c7832534a816", "RISC-V: KVM: Fix sign extension for MMIO loads"),),
        ),
        Fix(
            "isa-factored",
            "refactor",
            "v7.1",
            "ISA lists in vcpu_onereg.c -> isa.c",
            (
                Commit("cf05b059d59f", "RISC-V: KVM: Introduce common kvm_riscv_isa_check_host()"),
                Commit("e0b5cfc316f1", "RISC-V: KVM: Factor-out ISA checks into separate sources"),
            ),
            requires=("smnpm-guest-bit",),
        ),
        Fix(
            "hideleg-config",
            "rework",
            "v7.1",
            "a CPU has KVM's hedeleg and hideleg from when KVM is enabled -> 0 until a vcpu is "
            "loaded",
            (Commit("0ee5501441cc", "RISC-V: KVM: Add hideleg to struct kvm_vcpu_config"),),
            requires=("hedeleg-init-early",),
        ),
        Fix(
            "config-factored",
            "refactor",
            "v7.1",
            "vcpu config in vcpu.c -> vcpu_config.c",
            (Commit("6ed523e2b612", "RISC-V: KVM: Factor-out VCPU config into separate sources"),),
            requires=("hideleg-config",),
        ),
        Fix(
            "sstateen-swap-cond",
            "rework",
            "v7.1",
            "sstateen0 is swapped if the vcpu's hstateen0 lets it at it -> if the host has "
            "Smstateen",
            (
                Commit(
                    "e2494f83f9d7", "RISC-V: KVM: Don't check hstateen0 when updating sstateen0 CSR"
                ),
            ),
            requires=("smstateen",),
            link="20260120080013.2153519-10-anup.patel@oss.qualcomm.com",
        ),
        Fix(
            "load-fastpath",
            "rework",
            "v7.1",
            "each load writes the CSRs -> not if the vcpu was here last and no CSR was set "
            "meanwhile",
            (
                Commit(
                    "1323a5cfe52c",
                    "KVM: riscv: Skip CSR restore if VCPU is reloaded on the same core",
                ),
            ),
            link="20260227121008.442241-1-tjytimi@163.com",
        ),
        Fix(
            "sbi-sta-align",
            "fix",
            "v7.1",
            "shmem_lo takes any address -> EINVAL unless aligned to 64 or -1; shmem_hi = 0 sets "
            "it to -1",
            (
                Commit(
                    "fa9681ed5c6a",
                    "RISC-V: KVM: Validate SBI STA shmem alignment in kvm_sbi_ext_sta_set_reg()",
                ),
            ),
            requires=("fwft-onereg",),
            repairs=("f61ce890b1f0",),
            link="20260205010502.2554381-2-xujiakai2025@iscas.ac.cn",
        ),
        Fix(
            "vector-ctx-leak",
            "fix",
            "v7.1",
            "the guest's V image leaks where there is no memory for the host's -> freed",
            (Commit("b7c958d7c1eb", "riscv: kvm: fix vector context allocation leak"),),
            requires=("vector-lazy",),
            repairs=("0f4b82579716",),
            link="20260316151612.13305-1-osama.abdelkader@gmail.com",
        ),
        Fix(
            "vector-null",
            "refactor",
            "v7.1",
            "a V image that is not there is used -> with a warning",
            (Commit("9b33ab1e8c18", "riscv: kvm: add null pointer check for vector datap"),),
            requires=("vector-lazy",),
        ),
        Fix(
            "fwft-onereg-dirty",
            "fix",
            "v7.2",
            "a value that user space sets in FWFT is not loaded if the load is skipped -> it is",
            (
                Commit(
                    "63224b02748d",
                    "KVM: RISC-V: SBI FWFT: Mark vCPU CSRs dirty after setting feature value",
                ),
            ),
            requires=("fwft-onereg", "load-fastpath"),
            untagged="unseen",
        ),
        Fix(
            "fwft-probe-init",
            "fix",
            "v7.2",
            "asking whether PMLEN is supported probes henvcfg.PMM, with preemption and 0 left in "
            "it -> once, at the vcpu's creation, and put back",
            (
                Commit(
                    "86957e5b4bff",
                    "KVM: RISC-V: SBI FWFT: Add optional init() callback for hardware probing",
                ),
            ),
            requires=("fwft-pmlen",),
            untagged="unseen",
        ),
        Fix(
            "fwft-live-support",
            "fix",
            "v7.2",
            "what FWFT supports is asked at the vcpu's creation -> at each use too",
            (
                Commit(
                    "e659112a39cd",
                    "KVM: RISC-V: SBI FWFT: Fix stale feature exposure after runtime "
                    "extension changes",
                ),
            ),
            requires=("fwft-probe-init", "fwft-onereg"),
            untagged="unseen",
        ),
        Fix(
            "fwft-lock-on-success",
            "fix",
            "v7.2",
            "LOCK is kept even if SET fails -> if it succeeds",
            (
                Commit(
                    "b8aa7571e943", "KVM: riscv: SBI FWFT: Apply LOCK flag only on successful set"
                ),
            ),
            requires=("fwft-base",),
            untagged="unseen",
        ),
        Fix(
            "timer-state-restore",
            "fix",
            "v7.2",
            "setting the timer's state to ON arms it for cycle 1 -> for compare",
            (Commit("6d4c17ed5620", "RISC-V: KVM: Fix timer state restore"),),
            untagged="unseen",
        ),
        Fix(
            "zicbo-block-always",
            "rework",
            "v7.2",
            "a block size that the host does not have: ENOENT, not listed -> reads 0, takes 0, "
            "always listed",
            (
                Commit(
                    "298276da73ca",
                    "RISC-V: KVM: Zicbo[m|z|p] block sizes should be always present in ONE_REG",
                ),
            ),
            requires=("zicbo-block-host", "isa-zicbop"),
        ),
        Fix(
            "fetch-fault-inject",
            "fix",
            "v7.2",
            "a fetch where there is no memory slot ends KVM_RUN with EOPNOTSUPP -> an instruction "
            "access fault in the guest",
            (
                Commit(
                    "4d638dc09128",
                    "RISC-V: KVM: Inject instruction access fault on unmapped guest fetch",
                ),
            ),
            requires=("redirect-inst-access",),
            untagged="unseen",
        ),
        Fix(
            "irq-pending-serial",
            "fix",
            "v7.2",
            "pending interrupts are changed bit by bit, without a lock -> under one",
            (
                Commit(
                    "d024a0a7879e", "RISC-V: KVM: Serialize virtual interrupt pending state updates"
                ),
            ),
            repairs=("cce69aff689e",),
        ),
        Fix(
            "spectre-vector-regs",
            "refactor",
            "v7.2",
            "user space's index of a V register is used as it is -> clamped",
            (Commit("8d9c9b135b5c", "KVM: riscv: Fix Spectre-v1 in vector register access"),),
            requires=("vector-lazy",),
        ),
        Fix(
            # v7.2.7 has it too.
            "pmm-without-abi",
            "fix",
            "v7.3",
            "masking needs PR_TAGGED_ADDR_ENABLE -> it is asked for alone, as up to v6.19",
            (
                Commit(
                    "2d2184ac9036",
                    'Revert "riscv: Reset pmm when PR_TAGGED_ADDR_ENABLE is not set"',
                ),
            ),
            requires=("pmm-with-abi",),
            repairs=("3033b2b1e394",),
        ),
        Fix(
            # v7.2.9 has it too.
            "sbi-hsm-status-error",
            "fix",
            "v7.3",
            "hart_get_status of a hart that does not exist is a success -> INVALID_PARAM",
            (Commit("41e81f7e3ef9", "RISC-V: KVM: Fix HSM hart status error propagation"),),
            requires=("sbi-errors",),
            untagged="unseen",
        ),
        Fix(
            # v7.2.9 has it too, as 650b2606b134.
            "vsip-hvip",
            "fix",
            "v7.3",
            "sip's bit 13 is shifted like the others between sip and hvip -> is where it is in "
            "both",
            (
                Commit("52c6b7d20d3e", "RISC-V: KVM: Fix the conversion between vsip and hvip"),
                Commit("650b2606b134", "RISC-V: KVM: Fix the conversion between vsip and hvip"),
            ),
            requires=("isa-sscofpmf",),
            untagged="unseen",
        ),
        Fix(
            "former-vcpu-cleared",
            "fix",
            "v7.3",
            "a CPU that goes off line is still the one that the vcpu was on last, and the next "
            "load is skipped -> it has no former vcpu",
            (
                Commit(
                    "dfdf1374fdec",
                    "KVM: RISC-V: Clear former VCPU cache on virtualization disable",
                ),
            ),
            requires=("load-fastpath",),
            untagged="unseen",
        ),
        Fix(
            "kvm-cpu-pm",
            "fix",
            "v7.3",
            "KVM does not know that an idle CPU has lost its hypervisor's CSRs, and the next load "
            "is skipped -> it has no former vcpu",
            (
                Commit(
                    "df81f80c35bc",
                    "KVM: RISC-V: Add CPU PM notifier for non-retention idle states",
                ),
            ),
            requires=("former-vcpu-cleared",),
            untagged="unseen",
        ),
        Fix(
            "v-begin-factored",
            "refactor",
            "v7.3",
            "riscv_v_start_kernel_context() saves the user's registers by itself -> as a section "
            "without preemption does",
            (Commit("8f798d6d7f11", "riscv: vector: refactor riscv_v_start_kernel_context"),),
            requires=("v-preemptible",),
        ),
        Fix(
            "v-irqs-off",
            "outside",
            "v7.3",
            "where interrupts are off the kernel does without V -> it uses V there too",
            (
                Commit(
                    "848a973c5f36",
                    "riscv: vector: allow non-preemptible kernel-mode vector with IRQs off",
                ),
            ),
            requires=("kernel-vector",),
        ),
        Fix(
            "guest-v-lazy",
            "fix",
            "v7.3",
            "a guest's V registers are loaded with the vcpu, and the kernel takes them for the "
            "task's -> loaded where the guest is entered, and saved where the kernel uses V",
            (
                Commit(
                    "b5060a4aa33d",
                    "RISC-V: KVM: fix vcpu vector context handling for kernel-mode vector",
                ),
            ),
            requires=("kernel-vector", "vector-lazy"),
            untagged="unseen",
        ),
        Fix(
            # Nothing comes of it: where a hart has both Linux takes Svade alone.
            "fwft-svadu",
            "outside",
            "v7.3",
            "no PTE_AD_HW_UPDATING -> a guest with both SVADU and SVADE sets ADUE",
            (Commit("1c05a6b7ebb2", "RISC-V: KVM: Add support for Svadu FWFT features"),),
            requires=("fwft-onereg", "svadu-svade"),
        ),
        Fix(
            "isa-zicfi",
            "feature",
            "v7.3",
            "ids 78 ZICFILP and 79 ZICFISS unknown -> known, and to be disabled",
            (Commit("94c46c147a98", "RISC-V: KVM: Allow Zicfiss/Zicfilp extensions for Guest/VM"),),
        ),
        Fix(
            "ssp-switch",
            "feature",
            "v7.3",
            "ssp is left in the hart -> swapped at entry and exit, a CSR register",
            (Commit("43a8f191171a", "RISC-V: KVM: Add ssp context save/restore"),),
            requires=("isa-zicfi",),
        ),
        Fix(
            # FWFT delegates software checks whenever it switches one of the two on.
            "software-check",
            "outside",
            "v7.3",
            "a software check that is not delegated ends KVM_RUN with EFAULT -> given to the guest "
            "if its LPE or SSE is on; SPELP goes with a trap that KVM gives to the guest",
            (Commit("864260d71d82", "RISC-V: KVM: Handle software-check exits for VCPU"),),
            requires=("isa-zicfi",),
        ),
        Fix(
            "fwft-cfi",
            "feature",
            "v7.3",
            "no LANDING_PAD and SHADOW_STACK -> the guest sets LPE and SSE, and has software "
            "checks while one of them is on",
            (
                Commit(
                    "e16d1ea6aea5",
                    "RISC-V: KVM: Add support for control-flow integrity FWFT features",
                ),
            ),
            requires=("isa-zicfi", "fwft-svadu"),
        ),
        Fix(
            "fwft-validate",
            "fix",
            "v7.3",
            "a feature of FWFT that was set before its ISA extension was switched off stays -> put "
            "back at the first run",
            (
                Commit("e4f24f9a909d", "RISC-V: KVM: Add SBI extension validate callback"),
                Commit("b88cb6998fb7", "RISC-V: KVM: Add SBI FWFT validation support"),
            ),
            requires=("fwft-onereg", "fwft-live-support"),
            untagged="unseen",
        ),
        Fix(
            "sbi-ext-reset",
            "fix",
            "v7.3",
            "an SBI extension that is disabled keeps what it was set to -> is reset",
            (Commit("52132eec634c", "RISC-V: KVM: Reset the SBI extension when disable it"),),
            requires=("sbi-callbacks",),
            untagged="unseen",
        ),
        Fix(
            # A reset of the vcpu sets last_exit_cpu too, and so is never followed by the fast path.
            "fwft-reset-dirty",
            "refactor",
            "v7.3",
            "a reset of FWFT leaves csr_dirty as it is -> sets it",
            (
                Commit(
                    "8f9e8f8e3828",
                    "RISC-V: KVM: Mark the reset callback of FWFT extension always dirties CSR",
                ),
            ),
            requires=("fwft-reset", "load-fastpath"),
        ),
        Fix(
            "zfh-implies",
            "rework",
            "v7.3",
            "a host has ZFHMIN and ZVFHMIN if its firmware names them -> if it has ZFH and ZVFH "
            "too",
            (Commit("248dbaf7770c", "riscv: report Zfhmin/Zvfhmin when Zfh/Zvfh are present"),),
        ),
        Fix(
            "has-fpu-d",
            "refactor",
            "v7.3",
            "has_fpu() asks for F or D -> for D, without which Linux does not take F",
            (
                Commit(
                    "93a27367bacd",
                    "riscv: hwprobe: simplify has_fpu() to check D extension only",
                ),
            ),
        ),
        Fix(
            # 7.2.11 has it too.
            "futex-untag",
            "fix",
            "v7.3",
            "the kernel changes a futex by its tagged pointer, faults, and tries again -> takes "
            "the tag off before",
            (
                Commit(
                    "405290be962b", "riscv: futex: untag the user pointer before the atomic access"
                ),
            ),
            requires=("host-pointer-masking",),
            untagged="unseen",
        ),
        Fix(
            "hstatus-hu",
            "outside",
            "v7.3",
            "hstatus.HU is as firmware left it, and lets programs execute HLV and HSV -> 0",
            (Commit("6694612317e5", "RISC-V: Clear HSTATUS.HU on CPU initialization"),),
        ),
        Fix(
            # 7.2.11 has it too.
            "ptrace-cfi-absent",
            "outside",
            "v7.3",
            "ptrace reads and writes CFI state where the CPU has none -> EINVAL",
            (
                Commit(
                    "adadf6df0bd5",
                    "riscv: ptrace: reject CFI regset access when extensions are absent",
                ),
            ),
        ),
        Fix(
            # 7.2.11 has it too.
            "ptrace-zeroed",
            "outside",
            "v7.3",
            "where a tracer writes less than a whole register set, the rest is what the kernel's "
            "stack had -> zero",
            (
                Commit(
                    "59052a88ba5f", "riscv: ptrace: Zero-initialize regset buffers before copyin"
                ),
            ),
        ),
    ),
    HYBRIDS,
)
