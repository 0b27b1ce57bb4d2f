/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of a task share. */
#ifndef TASK_H
#define TASK_H

#include "shared.h"
#include "arm64/arch.h"

long create_vcpus(struct slot *);
long vcpu_op(struct slot *);

static inline void zero(void *p, u64 n)
{
	volatile u8 *at = p; /* or the compiler makes a call of memset() of this */

	while (n--)
		*at++ = 0;
}
#endif
