/* SPDX-License-Identifier: GPL-2.0-only */
/* A register set of ptrace with SVE in it: struct user_sve_header of asm/ptrace.h. */
#ifndef REGSET_H
#define REGSET_H

#include <asm/ptrace.h>
#include "shared.h"

/* What a debugger does that writes a Z register: a set in FPSIMD format becomes one in SVE's. */
static inline u64 to_sve_format(u8 *set, u64 length)
{
	struct user_sve_header *head = (void *)set;
	u32 vl = head->vl, status = (SVE_PT_REGS_OFFSET + 32 * vl + 17 * (vl / 8) + 15) & ~15;
	u8 old[528];

	if (head->flags & SVE_PT_REGS_SVE)
		return length;
	for (u32 i = 0; i < sizeof(old); i++)
		old[i] = set[SVE_PT_FPSIMD_OFFSET + i];
	for (u32 i = SVE_PT_REGS_OFFSET; i < status + 16; i++)
		set[i] = 0;
	for (u32 i = 0; i < 512; i++)
		set[SVE_PT_REGS_OFFSET + i / 16 * vl + i % 16] = old[i];
	for (u32 i = 0; i < 8; i++) /* fpsr, fpcr */
		set[status + i] = old[512 + i];
	head->flags |= SVE_PT_REGS_SVE;
	head->size = status + 16;
	return head->size;
}
#endif
