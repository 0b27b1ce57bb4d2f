// SPDX-License-Identifier: GPL-2.0-only
/* What this machine has of what a trace asks for. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <linux/kvm.h>
#include "arm64/machine.h"

#define PR_SVE_SET 50
#define PR_SVE_GET 51
#define PR_SME_SET 63
#define PR_SME_GET 64
#define VL_MASK 0xffff

static const struct { const char *name; int word; unsigned long bit; } hwcaps[] = {
	{ "sve", 0, 1UL << 22 },
	{ "sme", 1, 1UL << 23 },
	{ "fa64", 1, 1UL << 30 },
	{ "sme2", 1, 1UL << 37 },
	{ "fpmr", 1, 1UL << 48 },
};

/* What KVM says of the CPUs. */
static int kvm_has(long capability)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC), got = 0;

	if (fd >= 0) {
		got = ioctl(fd, KVM_CHECK_EXTENSION, capability) > 0;
		close(fd);
	}
	return got;
}

static int has(const char *name)
{
	unsigned long words[] = { getauxval(AT_HWCAP), getauxval(AT_HWCAP2) };

	if (!strcmp(name, "aarch32"))
		return kvm_has(KVM_CAP_ARM_EL1_32BIT);
	if (!strcmp(name, "pmu"))
		return kvm_has(KVM_CAP_ARM_PMU_V3);
	for (unsigned i = 0; i < sizeof(hwcaps) / sizeof(hwcaps[0]); i++)
		if (!strcmp(hwcaps[i].name, name))
			return !!(words[hwcaps[i].word] & hwcaps[i].bit);
	return 1; /* nothing that user space could see */
}

/* The vector length that comes of asking for one. */
static int length(int sme, int asked)
{
	int was = prctl(sme ? PR_SME_GET : PR_SVE_GET, 0, 0, 0, 0) & VL_MASK;
	int got = prctl(sme ? PR_SME_SET : PR_SVE_SET, asked, 0, 0, 0) & VL_MASK;

	prctl(sme ? PR_SME_SET : PR_SVE_SET, was, 0, 0, 0);
	return got;
}

/* Whether there are these lengths, each twice the one before, and no other. */
static int has_lengths(int sme, int low, int high)
{
	if (length(sme, 8192) != high || length(sme, 16) != low)
		return 0;
	for (int vl = low; vl < high; vl *= 2)
		if (length(sme, vl) != vl || (vl > 16 && length(sme, vl + vl / 2) != vl))
			return 0;
	return 1;
}

const char *lacking(const char *asked)
{
	static char why[128], name[32];
	int low = 0, high = 0, sme;

	if (!strncmp(asked, "no ", 3)) {
		snprintf(why, sizeof(why), "this machine has %s", asked + 3);
		return has(asked + 3) ? why : NULL;
	}
	sscanf(asked, "%31s %d %d", name, &low, &high);
	snprintf(why, sizeof(why), "this machine has no %s", name);
	if (!has(name))
		return why;
	sme = !strcmp(name, "sme");
	if (!high || (!sme && strcmp(name, "sve")))
		return NULL;
	snprintf(why, sizeof(why), "this machine has other vector lengths of %s than %d to %d", name,
		 low, high);
	return has_lengths(sme, low, high) ? NULL : why;
}
