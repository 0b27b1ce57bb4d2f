/* SPDX-License-Identifier: GPL-2.0-only */
/* The register operations of ops.S by number; scripts have these names for them. */
OP(nop)
OP(read_v) OP(write_v) OP(read_z) OP(write_z) OP(read_p) OP(write_p) OP(read_ffr) OP(write_ffr)
OP(read_fpsr) OP(write_fpsr) OP(read_fpcr) OP(write_fpcr) OP(read_fpmr) OP(write_fpmr)
OP(read_svcr) OP(write_svcr) OP(read_za) OP(write_za) OP(read_zt0) OP(write_zt0)
OP(read_tpidr2_el0) OP(write_tpidr2_el0) OP(read_zcr_el1) OP(write_zcr_el1)
OP(read_cpacr_el1) OP(write_cpacr_el1)
OP(read_dbgbvr0_el1) OP(write_dbgbvr0_el1) OP(read_dbgbvr1_el1) OP(write_dbgbvr1_el1)
OP(smstart_both) OP(smstart_sm) OP(smstart_za) OP(smstop_both) OP(smstop_sm) OP(smstop_za)
OP(rdvl) OP(rdsvl) OP(hvc) OP(mmio) OP(wfi)
