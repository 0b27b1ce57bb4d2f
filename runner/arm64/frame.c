// SPDX-License-Identifier: GPL-2.0-only
/* Signal frames of arm64: Documentation/arch/arm64/sve.rst, asm/sigcontext.h. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>
#include <asm/sigcontext.h>
#include "arm64/frame.h"
#include "script.h"

#ifndef SVE_SIG_FLAG_SM
#define SVE_SIG_FLAG_SM 1
#endif

#define RECORDS (offsetof(ucontext_t, uc_mcontext.__reserved))

struct frame {
	int fd;
	u64 at;
	u8 bytes[4096];
};

static int open_frame(struct frame *f, int pid, u64 frame)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	f->at = frame + RECORDS;
	f->fd = open(path, O_RDWR);
	return pread(f->fd, f->bytes, sizeof(f->bytes), f->at) == sizeof(f->bytes);
}

static int close_frame(struct frame *f)
{
	int all = pwrite(f->fd, f->bytes, sizeof(f->bytes), f->at) == sizeof(f->bytes);

	close(f->fd);
	return all;
}

static void *record(struct frame *f, u32 magic)
{
	u8 *end = f->bytes + sizeof(f->bytes);

	for (u8 *at = f->bytes; at + sizeof(struct _aarch64_ctx) <= end;) {
		struct _aarch64_ctx *head = (void *)at;

		if (head->magic == magic)
			return head;
		if (!head->magic || !head->size)
			return NULL;
		at += head->size;
	}
	return NULL;
}

/* A record keeps so much of its beginning, and those behind it move up. */
static void shrink(struct frame *f, struct _aarch64_ctx *head, u32 size)
{
	u8 *end = f->bytes + sizeof(f->bytes), *from = (u8 *)head + head->size, *to = (u8 *)head + size;

	memmove(to, from, end - from);
	memset(to + (end - from), 0, from - to);
	if (size)
		head->size = size;
}

const char *frame_write_v(int pid, u64 frame, int n, const char *hex)
{
	static struct frame f;
	struct fpsimd_context *v;

	if (!open_frame(&f, pid, frame))
		return "its frame cannot be read";
	v = record(&f, FPSIMD_MAGIC);
	if (!v)
		return "its frame has no FPSIMD record";
	unhex((u8 *)&v->vregs[n], hex);
	return close_frame(&f) ? NULL : "its frame cannot be written";
}

const char *frame_forge(int pid, u64 frame, const char *what, u32 vl)
{
	static struct frame f;
	struct sve_context *sve;
	unsigned short *flags;

	if (!open_frame(&f, pid, frame))
		return "its frame cannot be read";
	sve = record(&f, SVE_MAGIC);
	if (!sve && record(&f, EXTRA_MAGIC))
		return "its SVE record is in the extra space of its frame";
	if (!sve)
		return strcmp(what, "fpsimd") ? "its frame has no SVE record" : NULL;
	flags = (unsigned short *)sve + 5; /* sve_context.flags; older headers call it reserved */
	if (!strcmp(what, "fpsimd"))
		shrink(&f, &sve->head, 0);
	else {
		sve->vl = vl;
		*flags = strcmp(what, "sve") ? *flags | SVE_SIG_FLAG_SM : *flags & ~SVE_SIG_FLAG_SM;
		if (!strcmp(what, "empty"))
			shrink(&f, &sve->head, sizeof(*sve));
	}
	return close_frame(&f) ? NULL : "its frame cannot be written";
}
