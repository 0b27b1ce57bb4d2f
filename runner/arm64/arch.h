/* SPDX-License-Identifier: GPL-2.0-only */
/* What arm64 has of its own: system calls, where a slot is told, ids of ONE_REG. */
#ifndef ARCH_H
#define ARCH_H

#include <linux/kvm.h>

static inline long syscall(long n, long a, long b, long c, long d, long e, long f)
{
	register long x8 asm("x8") = n, x0 asm("x0") = a, x1 asm("x1") = b, x2 asm("x2") = c;
	register long x3 asm("x3") = d, x4 asm("x4") = e, x5 asm("x5") = f;

	asm volatile("svc 0" : "+r"(x0)
		     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory", "cc");
	return x0;
}

static inline void set_slot(struct slot *s)
{
	asm volatile("msr tpidr_el0, %0" : : "r"(s));
}

#define CORE(words)	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | (words))
#define CORE_PC		CORE(0x40)
#define CORE_PSTATE	CORE(0x42)
#define ID_AA64PFR2	ARM64_SYS_REG(3, 0, 0, 4, 2)
#define ID_FPMR		(0xfUL << 32)
#define EL0_TPIDR	ARM64_SYS_REG(3, 3, 13, 0, 2)
#define EL1_VBAR	ARM64_SYS_REG(3, 0, 12, 0, 0)
#define EL1_CPACR	ARM64_SYS_REG(3, 0, 1, 0, 2)
#define EL1_ZCR		ARM64_SYS_REG(3, 0, 1, 2, 0)
#define EL0_FPMR	ARM64_SYS_REG(3, 3, 4, 4, 2)
#define PSTATE_EL1h_DAIF 0x3c5
#define CPACR_FPEN	(3 << 20)
#define CPACR_ZEN	(3 << 16)

/* What of a vcpu's state the trace language has, and where its program is. */
static inline int is_state(u64 id)
{
	switch (id & KVM_REG_ARM_COPROC_MASK) {
	case KVM_REG_ARM64_SVE:
	case KVM_REG_ARM_CORE:
		return 1;
	}
	return id == EL1_CPACR || id == EL1_ZCR || id == EL1_VBAR || id == EL0_FPMR;
}

static inline int needs_finalize(u64 id)
{
	return (id & KVM_REG_ARM_COPROC_MASK) == KVM_REG_ARM64_SVE && id != KVM_REG_ARM64_SVE_VLS;
}
#endif
