/* SPDX-License-Identifier: GPL-2.0-only */
/* What a task of a selftest does beside register operations: system calls, as it is told. */

/* void begin_task(slot): with the registers of a new program; it does not return. */
begin_task:
	msr	tpidr_el0, x0
	.irp	n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
	movi	v\n\().2d, #0
	.endr
	msr	fpsr, xzr
	msr	fpcr, xzr
	adr	x20, task_op
	bl	op_loop

/* The system call of a slot. One that blocks is done before: its signal handler takes commands. */
task_op:
	mov	x9, x0
	ldr	x8, [x9, #SLOT_NR]
	ldp	x0, x1, [x9, #SLOT_ARG]
	ldp	x2, x3, [x9, #SLOT_ARG + 16]
	ldp	x4, x5, [x9, #SLOT_ARG + 32]
	ldr	x10, [x9, #SLOT_CHILD]
	ldr	w11, [x9, #SLOT_EARLY]
	cbz	w11, 1f
	ldr	w11, [x9, #SLOT_SEQ]
	str	w11, [x9, #SLOT_DONE]
1:	svc	#0
	cbnz	x0, 2f
	cbz	x10, 2f
	msr	tpidr_el0, x10	/* a child has a slot of its own */
	ret
2:	str	x0, [x9, #SLOT_RET]
	ret
