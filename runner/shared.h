/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the controller, the tasks and their guests share: one file, mapped at one address by all.
 *
 * Whoever is to do something spins on a slot of its own. A command is there when `seq` changes, and
 * done when `done` is equal to it again. A task makes no system call to wait: that would discard its
 * SVE state.
 */
#ifndef SHARED_H
#define SHARED_H

#define SLOT_SEQ	0x00
#define SLOT_DONE	0x04
#define SLOT_OP		0x08
#define SLOT_N		0x0c
#define SLOT_LEN	0x10
#define SLOT_ESR	0x14
#define SLOT_FRAME	0x18
#define SLOT_SIGNALS	0x20
#define SLOT_ONCE	0x24
#define SLOT_BUF	0x100

#define BASE		0x20000000
#define SLOT_SIZE	0x20000
#define BUF_SIZE	(SLOT_SIZE - SLOT_BUF)
#define TASKS		8
#define VCPUS		8
#define GUESTS		(BASE + TASKS * SLOT_SIZE)
#define CODE		(GUESTS + VCPUS * SLOT_SIZE)
#define CODE_SIZE	0x10000
#define CODE_IPA	0x40000		/* where a guest has its program; behind it are the slots */
#define GUEST_MMIO	0x09000000	/* where nothing is: a store there leaves the guest */
#define SAVED		(CODE + CODE_SIZE)
#define SAVED_SIZE	0x60000
#define TOTAL		(SAVED + VCPUS * SAVED_SIZE - BASE)
#define SHARED_FD	3

#ifndef __ASSEMBLER__
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long u64;

struct slot {
	volatile u32 seq, done, op, n;
	volatile u32 len;	/* of what is in buf now */
	volatile u32 esr;	/* of the guest's exception, 0 for none */
	volatile u64 frame;	/* the ucontext of the signal handler that it is in */
	volatile u32 signals;	/* how many it has got */
	volatile u32 once;	/* leave the loop after this command: sigreturn */
	volatile long ret, x;
	volatile u64 arg[4];
	volatile u32 futex, ready;
	u32 number, neon, vcpus;
	struct { u8 vcpu, vm, sve, created, fpmr; } vcpu[VCPUS];
	volatile u8 buf[BUF_SIZE] __attribute__((aligned(SLOT_BUF)));
};

_Static_assert(sizeof(struct slot) == SLOT_SIZE, "ops.S knows where everything is");
_Static_assert(__builtin_offsetof(struct slot, buf) == SLOT_BUF, "so does this");
_Static_assert(__builtin_offsetof(struct slot, once) == SLOT_ONCE, "and this");

#define guest_ipa(v)	((u64)CODE_IPA + CODE_SIZE + (v) * SLOT_SIZE)
#define slot_of(task)	((struct slot *)(u64)(BASE + (task) * SLOT_SIZE))
#define guest_slot(v)	((struct slot *)(u64)(GUESTS + (v) * SLOT_SIZE))
#define saved_of(v)	((struct saved *)(u64)(SAVED + (v) * SAVED_SIZE))

/* What a task does in C, by the name that scripts have for it. */
#define TASK_OPS(OP) \
	OP(syscall) OP(prctl) OP(run) OP(block) OP(get) OP(set) OP(init) OP(finalize) OP(list) \
	OP(fork) OP(clone) OP(exec) OP(exit) OP(signalled) OP(neon) OP(seize) OP(detach) \
	OP(getregset) OP(setregset) OP(poke) OP(save) OP(restore)

#define IN_C	128	/* the first of them; below are the register operations of ARCH/ops.h */
enum { TASK_OP_BASE = IN_C - 1,
#define OP(name) OP_##name,
	TASK_OPS(OP)
#undef OP
};
#else
#define IN_C	128
#endif
#endif
