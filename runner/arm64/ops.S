/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Register operations on command, the same code for a task at EL0 and a guest at EL1. It is position
 * independent. No register of FP/SIMD, SVE or SME changes but by a command.
 *
 * TPIDR_EL0 is the slot, and so is x19 after a look at it: a forked child and a vcpu that is restored
 * from another one have their own. x20: where a task's operations in C are. x21: where to return.
 */
#include "shared.h"

	.arch armv9-a+sve+sme
	.text

/* A guest's program: its entry, and at 0x800 the vectors. */
	.balign 0x1000
	.globl guest_start, guest_end, op_loop
guest_start:
	nop		/* an MMIO exit before a reset may be completed now: PC += 4 */
	bl	op_loop
	b	.
	.balign 0x800
	.rept	4
	b	.
	.balign 0x80
	.endr
	/* A synchronous exception of EL1 itself, as of an UNDEFINED instruction: step over it. */
	mrs	x27, esr_el1
	str	w27, [x19, #SLOT_ESR]
	mrs	x27, elr_el1
	add	x27, x27, #4
	msr	elr_el1, x27
	isb
	eret
	.balign 0x800

op_loop:
	mov	x21, x30
1:	mrs	x19, tpidr_el0
	ldr	w1, [x19, #SLOT_SEQ]
	ldr	w2, [x19, #SLOT_DONE]
	cmp	w1, w2
	b.ne	3f
	yield
	b	1b
3:	dmb	ish
	ldr	w3, [x19, #SLOT_OP]
	ldr	w4, [x19, #SLOT_N]
	add	x5, x19, #SLOT_BUF
	str	wzr, [x19, #SLOT_ESR]
	str	wzr, [x19, #SLOT_LEN]
	cmp	w3, #IN_C
	b.hs	in_c
	adr	x6, operations
	add	x6, x6, x3, lsl #2
	br	x6
in_c:	mov	x0, x19
	blr	x20
	b	done
done8:	mov	w7, #8
done7:	str	w7, [x19, #SLOT_LEN]
done:	mrs	x19, tpidr_el0
	ldr	w2, [x19, #SLOT_ONCE]
	dmb	ish
	ldr	w1, [x19, #SLOT_SEQ]
	str	w1, [x19, #SLOT_DONE]
	cbz	w2, 1b
	str	wzr, [x19, #SLOT_ONCE]
	ret	x21

operations:
#define OP(name) b o_##name ;
#include "arm64/ops.h"
#undef OP

o_nop:	b	done

/* Register n of a bank: each is an instruction of its own. */
	.altmacro
	.macro one insn, reg, n, then
	\insn	\reg\n, [x5]
	b	\then
	.endm
	.macro bank name, insn, reg, count, then
\name:	adr	x6, 1f
	add	x6, x6, x4, lsl #3
	br	x6
1:
	.set i, 0
	.rept \count
	one \insn, \reg, %i, \then
	.set i, i + 1
	.endr
	.endm
	bank	o_write_v, ldr, q, 32, done
	bank	o_read_v, str, q, 32, len16
	bank	o_write_z, ldr, z, 32, done
	bank	o_read_z, str, z, 32, lenvl
	bank	o_write_p, ldr, p, 16, done
	bank	o_read_p, str, p, 16, lenpl
	.noaltmacro
len16:	mov	w7, #16
	b	done7
lenvl:	rdvl	x7, #1
	b	done7
lenpl:	rdvl	x7, #1
	lsr	x7, x7, #3
	b	done7

/* FFR goes through p0, which is put back. */
o_write_ffr:
	add	x6, x5, #0x400
	str	p0, [x6]
	ldr	p0, [x5]
	wrffr	p0.b
	ldr	p0, [x6]
	b	done
o_read_ffr:
	add	x6, x5, #0x400
	str	p0, [x6]
	rdffr	p0.b
	str	p0, [x5]
	ldr	p0, [x6]
	b	lenpl

	.macro scalar name, reg
o_read_\name:
	mrs	x6, \reg
	str	x6, [x5]
	b	done8
o_write_\name:
	ldr	x6, [x5]
	msr	\reg, x6
	isb
	b	done
	.endm
	scalar	fpsr, fpsr
	scalar	fpcr, fpcr
	scalar	fpmr, S3_3_C4_C4_2
	scalar	svcr, S3_3_C4_C2_2
	scalar	tpidr2_el0, S3_3_C13_C0_5
	scalar	zcr_el1, S3_0_C1_C2_0
	scalar	cpacr_el1, S3_0_C1_C0_2
	scalar	dbgbvr0_el1, S2_0_C0_C0_4
	scalar	dbgbvr1_el1, S2_0_C0_C1_4

	.macro mode name, which
o_smstart_\name:
	.inst	0xd503417f | \which
	b	done
o_smstop_\name:
	.inst	0xd503407f | \which
	b	done
	.endm
	mode	sm, 0x200
	mode	za, 0x400
	mode	both, 0x600

/* A row of ZA is a streaming vector. Every row is written with the first's value. */
o_write_za:
	.inst	0x04bf5827	/* rdsvl x7, #1 */
	mov	w12, #0
1:	ldr	za[w12, 0], [x5]
	add	w12, w12, #1
	cmp	w12, w7
	b.lo	1b
	b	done
o_read_za:
	.inst	0x04bf5827
	mov	w12, #0
	mov	x6, x5
1:	str	za[w12, 0], [x6]
	add	x6, x6, x7
	add	w12, w12, #1
	cmp	w12, w7
	b.lo	1b
	mul	w7, w7, w7
	b	done7
o_write_zt0:
	.inst	0xe11f80a0	/* ldr zt0, [x5] */
	b	done
o_read_zt0:
	.inst	0xe13f80a0	/* str zt0, [x5] */
	mov	w7, #64
	b	done7

o_rdvl:	rdvl	x6, #1
	str	x6, [x5]
	b	done8
o_rdsvl:
	.inst	0x04bf5826	/* rdsvl x6, #1 */
	str	x6, [x5]
	b	done8
o_hvc:	ldr	w0, =0x84000000	/* PSCI_VERSION: KVM answers, and the guest goes on */
	hvc	#0
	b	done
o_mmio:	ldr	w6, =GUEST_MMIO
	str	w4, [x6]
	.rept	64		/* each save and restore before it is completed steps over one */
	nop
	.endr
	b	done
o_wfi:	wfi
	b	done
	.ltorg
guest_end:
	nop
