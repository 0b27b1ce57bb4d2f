// SPDX-License-Identifier: GPL-2.0-only
/* A task as a VMM. */
#include <asm/unistd.h>
#include <linux/kvm.h>
#include "task.h"

struct vcpu {
	long fd;
	struct kvm_run *run;
	struct kvm_vcpu_init target;
	u32 sve, fpmr;		/* as asked for */
	u32 initialized, has_sve, finalized, booted, given_cpacr;
};

static struct vcpu vcpus[VCPUS];
static long vms[VCPUS]; /* 0: not created */
static long kvm = -1;

static long kvm_ioctl(long fd, long request, void *arg)
{
	return syscall(__NR_ioctl, fd, request, (long)arg, 0, 0, 0);
}

static long one_reg(struct vcpu *v, int set, u64 id, volatile void *value)
{
	struct kvm_one_reg reg = { id, (u64)value };

	return kvm_ioctl(v->fd, set ? KVM_SET_ONE_REG : KVM_GET_ONE_REG, &reg);
}

static long set_reg(struct vcpu *v, u64 id, u64 value)
{
	return one_reg(v, 1, id, &value);
}

/* The longest vector that it can have, in quadwords. */
static u32 longest(struct vcpu *v)
{
	u64 lengths[8];
	u32 vq = 0;

	zero(lengths, sizeof(lengths));
	one_reg(v, 0, KVM_REG_ARM64_SVE_VLS, lengths);
	for (u32 i = 0; i < 512; i++)
		if (lengths[i / 64] >> i % 64 & 1)
			vq = i + 1;
	return vq;
}

/* Where the guest's kernel has come to when its program begins: FP and SVE are open at EL1. */
static long boot(struct vcpu *v)
{
	long error = set_reg(v, CORE_PC, CODE_IPA);

	v->booted = 1;
	error = error ? error : set_reg(v, CORE_PSTATE, PSTATE_EL1h_DAIF);
	error = error ? error : set_reg(v, EL1_VBAR, CODE_IPA + 0x800);
	if (v->given_cpacr)
		return error; /* it has booted elsewhere */
	error = error ? error : set_reg(v, EL1_CPACR, CPACR_FPEN | (v->has_sve ? CPACR_ZEN : 0));
	if (v->has_sve)
		error = error ? error : set_reg(v, EL1_ZCR, longest(v) - 1);
	return error;
}

/* A VM has what the host has, unless its VMM says no, which older kernels do not let it. */
static void hide_fpmr(struct vcpu *v)
{
	u64 id = 0;

	if (!one_reg(v, 0, ID_AA64PFR2, &id) && id & ID_FPMR)
		set_reg(v, ID_AA64PFR2, id & ~ID_FPMR);
}

static long init(struct vcpu *v, u32 features)
{
	struct kvm_vcpu_init init = v->target;
	long error;

	zero(init.features, sizeof(init.features));
	init.features[0] = features;
	error = kvm_ioctl(v->fd, KVM_ARM_VCPU_INIT, &init);
	if (!error) {
		v->initialized = 1;
		v->booted = v->given_cpacr = 0;
		v->has_sve = features >> KVM_ARM_VCPU_SVE & 1;
		error = set_reg(v, EL0_TPIDR, guest_ipa(v - vcpus));
		if (!v->fpmr)
			hide_fpmr(v);
	}
	return error;
}

static long finalize(struct vcpu *v, int feature)
{
	long error = kvm_ioctl(v->fd, KVM_ARM_VCPU_FINALIZE, &feature);

	if (!error)
		v->finalized = 1;
	return error;
}

static long finalize_once(struct vcpu *v)
{
	return v->finalized || !v->has_sve ? 0 : finalize(v, KVM_ARM_VCPU_SVE);
}

static long create_vm(void)
{
	struct kvm_userspace_memory_region memory = {
		.guest_phys_addr = CODE_IPA,
		.memory_size = CODE_SIZE,
		.userspace_addr = CODE,
	};
	long vm, error;

	if (kvm < 0)
		kvm = syscall(__NR_openat, -100, (long)"/dev/kvm", 02 | 02000000, 0, 0, 0);
	if (kvm < 0)
		return kvm;
	vm = kvm_ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm < 0)
		return vm;
	error = kvm_ioctl(vm, KVM_SET_USER_MEMORY_REGION, &memory);
	return error ? error : vm;
}

static long create(u32 n, u32 vm, u32 sve, u32 created, u32 fpmr)
{
	struct vcpu *v = &vcpus[n];
	struct kvm_userspace_memory_region memory = {
		.slot = n + 1,
		.guest_phys_addr = guest_ipa(n),
		.memory_size = SLOT_SIZE,
		.userspace_addr = (u64)guest_slot(n),
	};
	long error;

	if (!vms[vm])
		vms[vm] = create_vm();
	if (vms[vm] < 0)
		return vms[vm];
	error = kvm_ioctl(vms[vm], KVM_SET_USER_MEMORY_REGION, &memory);
	if (error)
		return error;
	v->fd = kvm_ioctl(vms[vm], KVM_CREATE_VCPU, (void *)(long)n);
	if (v->fd < 0)
		return v->fd;
	v->run = (void *)syscall(__NR_mmap, 0, 0x4000, 3, 1, v->fd, 0);
	error = kvm_ioctl(vms[vm], KVM_ARM_PREFERRED_TARGET, &v->target);
	v->sve = sve;
	v->fpmr = fpmr;
	if (error || created)
		return error;
	error = init(v, sve << KVM_ARM_VCPU_SVE);
	error = error ? error : finalize_once(v);
	return error ? error : boot(v);
}

long create_vcpus(struct slot *s)
{
	for (u32 i = 0; i < s->vcpus; i++) {
		long error = create(s->vcpu[i].vcpu, s->vcpu[i].vm, s->vcpu[i].sve,
				    s->vcpu[i].created, s->vcpu[i].fpmr);

		if (error)
			return error;
	}
	return 0;
}

/* A vcpu as a VMM saves it: what the trace language knows, and where the guest's program is. */
struct saved {
	u64 n;
	u64 id[1200];
	u8 kept[1200];
	u32 booted;
	u8 values[] __attribute__((aligned(64)));
};

static int left_by_store(struct vcpu *v)
{
	return v->run->exit_reason == KVM_EXIT_MMIO;
}

static u64 size_of(u64 id)
{
	return 1UL << (id >> 52 & 15);
}

static long save(struct vcpu *v, struct saved *s, u64 dropped)
{
	u8 *at = s->values;
	long error;

	s->booted = v->booted;
	s->n = 1200;
	error = kvm_ioctl(v->fd, KVM_GET_REG_LIST, s);
	for (u64 i = 0; !error && i < s->n; i++) {
		s->kept[i] = is_state(s->id[i]) && !(dropped >> (s->id[i] >> 52 & 15) & 1);
		if (!s->kept[i])
			continue;
		error = one_reg(v, 0, s->id[i], at);
		if (s->id[i] == CORE_PC && left_by_store(v))
			*(u64 *)at += 4; /* which the next KVM_RUN would do */
		at += size_of(s->id[i]);
	}
	return error;
}

static long restore(struct vcpu *v, struct saved *s, u64 first)
{
	long error = v->initialized ? 0 : init(v, v->sve << KVM_ARM_VCPU_SVE);

	for (int pass = first ? 0 : 1; pass < 2; pass++) {
		u8 *at = s->values;

		for (u64 i = 0; i < s->n; i++) {
			u8 *value = at;
			int early = s->id[i] == first || s->id[i] == KVM_REG_ARM64_SVE_VLS;

			if (!s->kept[i])
				continue;
			at += size_of(s->id[i]);
			if (error || (first && early != !pass))
				continue;
			if (needs_finalize(s->id[i]))
				error = finalize_once(v);
			if (!error)
				error = one_reg(v, 1, s->id[i], value);
		}
	}
	if (error)
		return error;
	v->booted = s->booted;
	v->given_cpacr = !s->booted;
	return finalize_once(v);
}

static long run(struct slot *s, struct vcpu *v)
{
	long error = 0;

	if (!v->booted && v->initialized && (!v->has_sve || v->finalized))
		error = boot(v);
	if (!error)
		error = kvm_ioctl(v->fd, KVM_RUN, 0);
	s->x = v->run->exit_reason;
	return error;
}

static long list(struct slot *s, struct vcpu *v)
{
	struct kvm_reg_list *ids = (void *)s->buf;
	long error;

	ids->n = s->arg[1];
	error = kvm_ioctl(v->fd, KVM_GET_REG_LIST, ids);
	s->x = ids->n;
	return error;
}

long vcpu_op(struct slot *s)
{
	struct vcpu *v = &vcpus[s->arg[0]];
	long error;

	switch (s->op) {
	case OP_run:
		return run(s, v);
	case OP_get:
		error = one_reg(v, 0, s->arg[1], s->arg[2] ? 0 : s->buf);
		s->len = error ? 0 : size_of(s->arg[1]);
		return error;
	case OP_set:
		error = one_reg(v, 1, s->arg[1], s->arg[2] ? 0 : s->buf);
		v->given_cpacr |= !error && s->arg[1] == EL1_CPACR;
		return error;
	case OP_init:
		return init(v, s->arg[1]);
	case OP_finalize:
		return finalize(v, s->arg[1]);
	case OP_list:
		return list(s, v);
	case OP_save:
		return save(v, saved_of(s->arg[0]), s->arg[1]);
	case OP_restore:
		return restore(v, saved_of(s->arg[1]), s->arg[2]);
	}
	return -38;
}
