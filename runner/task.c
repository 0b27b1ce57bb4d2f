// SPDX-License-Identifier: GPL-2.0-only
/*
 * A task of a trace: kvm-replay-task NUMBER [again]. No libc, and general registers alone, so that
 * nothing changes what the trace is about but its commands.
 */
#include <asm/unistd.h>
#include <linux/elf.h>
#include <linux/futex.h>
#include <linux/if_alg.h>
#include <linux/membarrier.h>
#include <linux/ptrace.h>
#include <linux/sched.h>
#include <linux/signal.h>
#include <linux/uio.h>
#include "arm64/regset.h"
#include "task.h"

#define SIGNAL_STACK 0x20000
#define AT_FDCWD (-100)
#define O_RDWR 02
#define AF_ALG 38
#define SOCK_SEQPACKET 5

void task_loop(struct slot *);
void signal_handler(void);
void signal_restorer(void);
long clone_thread(long flags, void *stack, struct slot *child);

static u8 signal_stack[SIGNAL_STACK] __attribute__((aligned(64)));
static u8 data[4096];
static long alg = -1;

static long getpid(void)
{
	return syscall(__NR_getpid, 0, 0, 0, 0, 0, 0);
}

static long gettid(void)
{
	return syscall(__NR_gettid, 0, 0, 0, 0, 0, 0);
}

static void signals(void *stack)
{
	struct { void *handler; long flags; void *restorer; long mask; } action = {
		signal_handler, SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTORER, signal_restorer, 0,
	};
	struct { void *sp; int flags; u64 size; } alt = { stack, 0, SIGNAL_STACK };

	syscall(__NR_rt_sigaction, SIGUSR1, (long)&action, 0, 8, 0, 0);
	syscall(__NR_sigaltstack, (long)&alt, 0, 0, 0, 0, 0);
	syscall(__NR_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0, 0, 0, 0);
}

/* A hash by AF_ALG: its driver uses NEON in the kernel, for as long as the system call. */
static long open_alg(void)
{
	struct sockaddr_alg name = { .salg_family = AF_ALG, .salg_type = "hash", .salg_name = "sha256" };
	long fd = syscall(__NR_socket, AF_ALG, SOCK_SEQPACKET, 0, 0, 0, 0), error;

	if (fd < 0)
		return fd;
	error = syscall(__NR_bind, fd, (long)&name, sizeof(name), 0, 0, 0);
	return error ? error : syscall(__NR_accept, fd, 0, 0, 0, 0, 0);
}

static long neon(void)
{
	long sent;

	if (alg < 0)
		return alg;
	sent = syscall(__NR_sendto, alg, (long)data, 1024, 0, 0, 0);
	return sent < 0 ? sent : syscall(__NR_read, alg, (long)data, 32, 0, 0, 0);
}

/* A child has the controller for a parent, which sees how it ends. */
static long fork_child(struct slot *s, struct slot *child)
{
	long pid;

	child->frame = s->frame;
	pid = syscall(__NR_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0, 0);
	if (!pid)
		set_slot(child);
	return pid;
}

/*
 * For clone_thread(): on a stack of its own, in memory that it shares with its parent. No system call
 * comes before its first command. Its signals are on the same stack.
 */
void task_begin(struct slot *s)
{
	task_loop(s);
	syscall(__NR_exit, 0, 0, 0, 0, 0, 0);
}

static long exec_self(struct slot *s)
{
	char number[2] = { '0' + s->number, 0 };
	const char *argv[] = { "kvm-replay-task", number, "again", 0 };

	s->done = s->seq;
	return syscall(__NR_execve, (long)"/proc/self/exe", (long)argv, (long)&argv[3], 0, 0, 0);
}

static long ptrace(long request, long pid, long addr, void *data)
{
	return syscall(__NR_ptrace, request, pid, addr, (long)data, 0, 0);
}

/* One register in a register set, the others as they are: arg is pid, set, offset, length. */
static long poke(struct slot *s)
{
	u8 *all = (u8 *)s->buf + 0x4000;
	struct iovec set = { all, BUF_SIZE - 0x4000 };
	long error = ptrace(PTRACE_GETREGSET, s->arg[0], s->arg[1], &set);

	if (error)
		return error;
	if (s->arg[1] != NT_PRFPREG)
		set.iov_len = to_sve_format(all, set.iov_len);
	for (u64 i = 0; i < s->arg[3]; i++)
		all[s->arg[2] + i] = s->buf[i];
	return ptrace(PTRACE_SETREGSET, s->arg[0], s->arg[1], &set);
}

static long regset(struct slot *s, long request, u64 length)
{
	struct iovec set = { (void *)s->buf, length };
	long error = ptrace(request, s->arg[0], s->arg[1], &set);

	if (!error && request == PTRACE_GETREGSET)
		s->len = set.iov_len;
	return error;
}

void task_op(struct slot *s)
{
	long ret = -38;

	switch (s->op) {
	case OP_syscall:
		ret = getpid();
		break;
	case OP_prctl:
		ret = syscall(__NR_prctl, s->arg[0], s->arg[1], 0, 0, 0, 0);
		break;
	case OP_block:
		s->done = s->seq; /* what a signal's handler runs has to wait for commands */
		ret = syscall(__NR_futex, (long)&s->futex, FUTEX_WAIT, 0, 0, 0, 0);
		break;
	case OP_fork:
		slot_of(s->arg[0])->neon = s->neon;
		ret = fork_child(s, slot_of(s->arg[0]));
		if (!ret)
			return;
		break;
	case OP_clone:
		slot_of(s->arg[0])->neon = s->neon;
		ret = clone_thread(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_PARENT |
				   SIGCHLD, (void *)(slot_of(s->arg[0])->buf + BUF_SIZE),
				   slot_of(s->arg[0]));
		break;
	case OP_exec:
		ret = exec_self(s);
		break;
	case OP_exit:
		s->done = s->seq;
		syscall(__NR_exit, 0, 0, 0, 0, 0, 0);
		break;
	case OP_signalled:
		s->done = s->seq;
		ret = syscall(__NR_tgkill, getpid(), gettid(), SIGUSR1, 0, 0, 0);
		break;
	case OP_neon:
		ret = neon();
		break;
	case OP_seize:
		ret = ptrace(PTRACE_SEIZE, s->arg[0], 0, 0);
		break;
	case OP_detach:
		ret = ptrace(PTRACE_DETACH, s->arg[0], 0, 0);
		break;
	case OP_getregset:
		ret = regset(s, PTRACE_GETREGSET, BUF_SIZE);
		break;
	case OP_setregset:
		ret = regset(s, PTRACE_SETREGSET, s->arg[2]);
		break;
	case OP_poke:
		ret = poke(s);
		break;
	default:
		ret = vcpu_op(s);
	}
	s->ret = ret;
}

void task_main(long *sp)
{
	const char *const *argv = (const char *const *)(sp + 1);
	struct slot *s = slot_of(argv[1][0] - '0');
	long shared = syscall(__NR_mmap, BASE, TOTAL, 3, 0x11, SHARED_FD, 0);

	if (shared != BASE)
		syscall(__NR_exit, 4, 0, 0, 0, 0, 0);
	set_slot(s);
	signals(signal_stack);
	s->ret = 0;
	if (sp[0] < 3) /* not again, by exec */
		s->ret = create_vcpus(s);
	if (s->neon)
		alg = open_alg();
	__sync_synchronize();
	s->ready = 1;
	task_loop(s);
}
