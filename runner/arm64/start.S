/* SPDX-License-Identifier: GPL-2.0-only */
/* Where a task begins, and the handler of its signals: no libc, no FP/SIMD register. */
#include "shared.h"
	.text
	.globl _start, task_loop, signal_handler, signal_restorer, clone_thread

_start:	mov	x29, #0
	mov	x0, sp
	and	sp, x0, #-16
	bl	task_main
	b	.

/* void task_loop(struct slot *): until a command says that it is the last */
task_loop:
	stp	x29, x30, [sp, #-48]!
	stp	x19, x20, [sp, #16]
	stp	x21, x22, [sp, #32]
	mov	x19, x0
	adrp	x20, task_op
	add	x20, x20, :lo12:task_op
	bl	op_loop
	ldp	x19, x20, [sp, #16]
	ldp	x21, x22, [sp, #32]
	ldp	x29, x30, [sp], #48
	ret

/* Its handler takes commands as the program does, and returns when it is told to. */
signal_handler:
	stp	x29, x30, [sp, #-32]!
	mrs	x0, tpidr_el0
	ldr	x1, [x0, #SLOT_FRAME]
	str	x1, [sp, #16]
	str	x2, [x0, #SLOT_FRAME]
	ldr	w1, [x0, #SLOT_SIGNALS]
	add	w1, w1, #1
	str	w1, [x0, #SLOT_SIGNALS]
	bl	task_loop
	mrs	x0, tpidr_el0
	ldr	x1, [sp, #16]
	str	x1, [x0, #SLOT_FRAME]
	ldp	x29, x30, [sp], #32
signal_restorer:
	mov	x8, #139	/* rt_sigreturn */
	svc	#0

/* long clone_thread(flags, stack, struct slot *): the child goes on in task_begin() */
clone_thread:
	mov	x9, x2
	mov	x2, #0
	mov	x3, #0
	mov	x4, #0
	mov	x8, #220
	svc	#0
	cbz	x0, 1f
	ret
1:	msr	tpidr_el0, x9
	mov	x0, x9
	mov	x29, #0
	bl	task_begin
	b	.
