// SPDX-License-Identifier: GPL-2.0-only
/*
 * What `kvm-replay drive --export` puts into a selftest, as much of it as that uses. It is not compiled
 * by itself. `//from FILE: NAME...` are definitions of the runner; a header is for the words behind it.
 */

#define _GNU_SOURCE
#include <elf.h> //NT_
#include <errno.h> //errno EAGAIN ENOENT EINVAL EPERM EBUSY ENOEXEC EFAULT E2BIG EIO ENODEV EOPNOTSUPP
#include <fcntl.h> //open O_
#include <sched.h> //sched_ CPU_ SCHED_ cpu_set_t
#include <signal.h> //kill sigaction SIG SA_
#include <stdarg.h> //va_
#include <stdio.h> //printf
#include <stdlib.h> //exit malloc
#include <string.h> //mem str
#include <sys/auxv.h> //getauxval
#include <sys/ioctl.h> //ioctl
#include <sys/mman.h> //mmap
#include <sys/prctl.h> //prctl
#include <sys/syscall.h> //SYS_ __NR_
#include <sys/uio.h> //iovec
#include <sys/wait.h> //W
#include <time.h> //clock_gettime
#include <unistd.h> //close
#include <asm/hwcap.h> //HWCAP HWCAP2
#include <asm/ptrace.h> //SVE_ user_
#include <linux/futex.h> //FUTEX_
#include <linux/kvm.h> //KVM_ kvm_
#include <linux/membarrier.h> //MEMBARRIER_
#include <linux/ptrace.h> //PTRACE_

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long u64;
typedef unsigned __int128 u128;

/*
 * What this program, its tasks and their guests share. Tasks and guests wait for commands in a
 * loop, in user space: a system call would change what the test is about. They run neither libc
 * nor compiled code, so that only commands change registers.
 */
#define BASE	0x4000000000UL	/* where no kernel puts anything by itself */
//from shared.h: SLOT_SIZE SLOT_BUF BUF_SIZE TASKS VCPUS GUESTS CODE CODE_SIZE CODE_IPA GUEST_MMIO
//from shared.h: SAVED SAVED_SIZE TOTAL IN_C
#define OP_syscall	IN_C

struct slot {
	volatile u32 seq, done;	/* a command is there when they differ */
	volatile u32 op, n;	/* what is to be done, and with which register */
	volatile u32 len;	/* of what was read into buf */
	volatile u32 esr;	/* of a guest's exception, 0 for none */
	volatile u64 frame;	/* the signal frame that a task is in */
	volatile u32 signals;	/* how many it has got */
	volatile u32 once;	/* leave the loop after this command */
	volatile long ret, nr, arg[6];	/* a system call */
	volatile u32 early, futex;
	volatile u64 child;	/* the slot of a child */
	volatile u8 buf[BUF_SIZE] __attribute__((aligned(SLOT_BUF)));
};

_Static_assert(__builtin_offsetof(struct slot, child) == 0x70, "the assembly knows these");

/* Tasks have the first numbers, vcpus those from TASKS on. */
//from shared.h: slot_of guest_slot guest_ipa saved_of
#define vcpu_of(who)	(&vcpus[(who) - TASKS])

extern u8 guest_start[], guest_end[];
extern void begin_task(struct slot *s) __attribute__((noreturn));
extern void signal_handler(int number);

//from people.h: task CURRENT WAITING PATIENCE YIELD how

static struct task tasks[TASKS];
static int thread_of[TASKS + VCPUS];
//generated: names
static int event;		/* the line of the trace */
static int tests, failed;

#define IDLE	(-1)

/* Line `line` of the trace is this. */
#define AT(line, what)	do { event = (line); what; } while (0)

/* TAP, as kselftest.h has it ----------------------------------------------------------------- */

enum { KSFT_PASS = 0, KSFT_FAIL = 1, KSFT_SKIP = 4 };

static int rt_runtime;	/* as it was, 0 if it has not been changed */

static int set_rt_runtime(int us)
{
	FILE *f = fopen("/proc/sys/kernel/sched_rt_runtime_us", "r+");
	int old = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%d", &old) == 1) {
		rewind(f);
		fprintf(f, "%d\n", us);
	}
	fclose(f);
	return old;
}

static void ksft_exit(int status)
{
	for (int i = 0; i < TASKS; i++)
		if (tasks[i].pid > 0)
			kill(tasks[i].pid, SIGKILL);
	if (rt_runtime)
		set_rt_runtime(rt_runtime);
	fflush(stdout);
	_exit(status);
}

static void ksft_print_header(void)
{
	setvbuf(stdout, NULL, _IOFBF, 1 << 16); /* to sleep here would let those run who wait */
	puts("TAP version 13");
}

static void ksft_set_plan(int count)
{
	printf("1..%d\n", count);
}

static void ksft_exit_skip(const char *why)
{
	printf("1..0 # SKIP %s\n", why);
	ksft_exit(KSFT_SKIP);
}

static void skip_unless(u64 condition, const char *why)
{
	if (!condition)
		ksft_exit_skip(why);
}

static int ksft_test_result(int ok, const char *format, ...)
{
	va_list list;

	failed += !ok;
	printf("%sok %d line %d: ", ok ? "" : "not ", ++tests, event);
	va_start(list, format);
	vprintf(format, list);
	va_end(list);
	putchar('\n');
	return ok;
}

/* The trace cannot go on: what is left of it has failed. */
static void give_up(const char *format, ...)
{
	va_list list;

	printf("# line %d: ", event);
	va_start(list, format);
	vprintf(format, list);
	va_end(list);
	putchar('\n');
	while (tests < PLANNED)
		ksft_test_result(0, "not reached");
	ksft_exit(KSFT_FAIL);
}

/* The loop in which tasks and guests wait for commands, and what they do there. */
//generated: asm

/* Tasks, their priorities, and their CPUs ---------------------------------------------------- */

//from people.c: now pause_for ended reap issue state_of priority onto park_others each_waiting
//from people.c: stop_waiting let_wait wait_for goes_on signalled wake to_idle switch_tasks
//from people.c: switch_from_blocked stop_for_tracer

/* How a wait has ended. */
static void expect_life(int who, int how)
{
	if (how == STUCK)
		give_up("%s does not answer", names[who]);
	else if (how)
		give_up("%s has died", names[who]);
}

static void expect_death(int task, int how)
{
	ksft_test_result(how == DIED, "%s dies", names[task]);
}

static void switch_to(int cpu, int from, int to)
{
	expect_life(to, switch_tasks(cpu, from, to));
}

static void switch_to_idle(int cpu, int from)
{
	switch_tasks(cpu, from, -1);
}

static void start_task(int task)
{
	slot_of(task)->done = slot_of(task)->seq;
	thread_of[task] = task;
	tasks[task].guest = -1;
	tasks[task].pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (!tasks[task].pid) {
		syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		begin_task(slot_of(task));
	}
	if (tasks[task].pid < 0)
		give_up("clone: %s", strerror(errno));
	onto(task, SPARE_CPU);
	priority(task, WAITING);
	expect_life(task, goes_on(task));
	onto(task, 0); /* where it waits */
}

/* The one who is current on a CPU when the trace begins. */
static void begin_on(int cpu, int task)
{
	priority(task, CURRENT);
	onto(task, cpu);
	expect_life(task, goes_on(task));
}

/* Registers ---------------------------------------------------------------------------------- */

#define VALUES(...)	(u128[]){ __VA_ARGS__ }, sizeof((u128[]){ __VA_ARGS__ }) / sizeof(u128)

/* Parts of `size` bytes: one value for all of them, or one each from the lowest on, then 0. */
static void fill(u8 *to, int len, int size, const u128 *values, int count)
{
	memset(to, 0, len);
	for (int i = 0; i < len / size; i++)
		if (i < count || count == 1)
			memcpy(to + i * size, &values[count == 1 ? 0 : i], size);
}

static void print_parts(const char *what, const u8 *from, int len, int size)
{
	printf("# %s", what);
	for (int i = 0; i < len / size && i < 16; i++) {
		u128 part = 0;

		memcpy(&part, from + i * size, size);
		if (part >> 64)
			printf(" 0x%lx%016lx", (u64)(part >> 64), (u64)part);
		else
			printf(" 0x%lx", (u64)part);
	}
	printf("%s\n", len / size > 16 ? " ..." : "");
}

/* What was read has to be `len` bytes with these values. */
static void compare(const char *who, const char *name, const u8 *got, int got_len, int size,
		    int len, const u128 *values, int count)
{
	static u8 due[BUF_SIZE];

	fill(due, len, size, values, count);
	if (ksft_test_result(got_len == len && !memcmp(got, due, len), "%s reads %s", who, name))
		return;
	print_parts("read", got, got_len, size);
	print_parts("due ", due, len, size);
}

/* Let a task or a guest do something; how that ended. */
static int operation(int who, int op)
{
	issue(slot_of(who), op, 0);
	return wait_for(slot_of(who), thread_of[who]);
}

static void instruction(int who, int op)
{
	expect_life(who, operation(who, op));
	if (slot_of(who)->esr)
		give_up("%s has taken an exception, ESR_EL1 = 0x%x", names[who], slot_of(who)->esr);
}

static void expect_undef(int who, int op)
{
	expect_life(who, operation(who, op));
	ksft_test_result(slot_of(who)->esr, "%s takes an exception, the instruction is undefined", names[who]);
}

static void write_register(int who, int op, int size, const u128 *values, int count)
{
	fill((u8 *)slot_of(who)->buf, 256, size, values, count);
	instruction(who, op);
}

static void expect_register(int who, int op, const char *name, int size, int len,
			    const u128 *values, int count)
{
	struct slot *s = slot_of(who);

	instruction(who, op);
	compare(names[who], name, (const u8 *)s->buf, s->len, size, len, values, count);
}

static void read_register(int who, int op, const char *name, int size)
{
	struct slot *s = slot_of(who);

	instruction(who, op);
	printf("# line %d: %s reads %s\n", event, names[who], name);
	print_parts("read", (const u8 *)s->buf, s->len, size);
}

/* System calls ------------------------------------------------------------------------------- */

static void issue_syscall(int task, long nr, long a, long b, long c, long d, long e)
{
	struct slot *s = slot_of(task);
	const long args[] = { a, b, c, d, e, 0 };

	s->nr = nr;
	for (int i = 0; i < 6; i++)
		s->arg[i] = args[i];
	issue(s, OP_syscall, 0);
}

static long task_syscall(int task, long nr, long a, long b, long c, long d, long e)
{
	issue_syscall(task, nr, a, b, c, d, e);
	expect_life(task, wait_for(slot_of(task), task));
	return slot_of(task)->ret;
}

/* One that does not return before the task has got other commands. */
static void begin_syscall(int task, long nr, long a, long b, long c)
{
	struct slot *s = slot_of(task);

	s->early = 1;
	issue_syscall(task, nr, a, b, c, 0, 0);
	while (s->done != s->seq && !tasks[task].dead) {
		reap();
		YIELD();
	}
	s->early = 0;
}

static void any_syscall(int task)
{
	task_syscall(task, __NR_getpid, 0, 0, 0, 0, 0);
}

static long task_prctl(int task, int option, long arg)
{
	return task_syscall(task, __NR_prctl, option, arg, 0, 0, 0);
}

static void block_in_futex(int cpu, int task, int to)
{
	struct slot *s = slot_of(task);

	park_others(cpu, task, to);
	if (to >= 0) {
		priority(to, WAITING);
		onto(to, cpu);
	}
	s->futex = 0;
	begin_syscall(task, __NR_futex, (long)&s->futex, FUTEX_WAIT, 0);
	expect_life(to < 0 ? task : to, switch_from_blocked(task, to));
}

/* What a system call of the trace comes to, unless the trace says what is due. */
static void said(long ret)
{
	if (ret < 0)
		printf("# line %d: %s\n", event, strerror(-ret));
}

static void expect_errno(int error, long ret)
{
	int got = ret < 0 ? -ret : 0;

	if (!ksft_test_result(got == error, "%s", error ? strerror(error) : "no error"))
		printf("# returned %ld (%s)\n", ret, got ? strerror(got) : "no error");
}

static void expect_value(long value, long ret)
{
	if (!ksft_test_result(ret == value, "returns %ld", value))
		printf("# returned %ld\n", ret);
}

static void interrupt(int task)
{
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0))
		give_up("membarrier: %s", strerror(errno));
	expect_life(task, goes_on(task));
}

static void take_interrupts(int task)
{
	onto(task, SPARE_CPU);
	task_syscall(task, __NR_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0, 0, 0);
	onto(task, 0);
}

/* Children ----------------------------------------------------------------------------------- */

static void start_child(int task, int child, long flags, long stack)
{
	struct slot *s = slot_of(task), *new = slot_of(child);

	thread_of[child] = child;
	new->frame = s->frame;
	s->child = (u64)new;
	tasks[child].pid = task_syscall(task, __NR_clone, flags | CLONE_PARENT | SIGCHLD, stack, 0, 0, 0);
	s->child = 0;
	if (tasks[child].pid < 0)
		give_up("clone: %s", strerror(-tasks[child].pid));
	tasks[child].guest = -1;
	tasks[child].cpu = tasks[task].cpu;
	priority(child, WAITING);
}

static void task_fork(int task, int child)
{
	start_child(task, child, 0, 0);
}

static void task_clone(int task, int child)
{
	start_child(task, child, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND,
		    (long)slot_of(child) + SLOT_SIZE);
}

/* CPUs --------------------------------------------------------------------------------------- */

static void hotplug(int cpu, const char *online)
{
	char path[64];
	int fd, n;

	stop_waiting(cpu, -1);
	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online", cpu);
	fd = open(path, O_WRONLY);
	n = write(fd, online, 1);
	close(fd);
	let_wait();
	if (n != 1)
		give_up("%s: %s", path, strerror(errno));
}

/* Signals ------------------------------------------------------------------------------------ */

static void handle_signals(void)
{
	struct sigaction action = { .sa_handler = signal_handler, .sa_flags = SA_SIGINFO | SA_NODEFER };

	sigaction(SIGUSR1, &action, NULL);
}

/* Its handler runs, and does what comes next until it returns. */
static void signal_to(int task)
{
	u32 signals = slot_of(task)->signals;

	kill(tasks[task].pid, SIGUSR1);
	expect_life(task, signalled(task, signals));
}

static void signal_itself(int task)
{
	u32 signals = slot_of(task)->signals;

	begin_syscall(task, __NR_tgkill, tasks[task].pid, tasks[task].pid, SIGUSR1);
	expect_life(task, signalled(task, signals));
}

/* For who waits: its handler runs when it is switched to. */
static void signal_waiting(int task)
{
	tasks[task].blocked = 0;
	kill(tasks[task].pid, SIGUSR1);
}

static int leave_handler(int task)
{
	struct slot *s = slot_of(task);
	int how;

	s->once = 1;
	issue(s, 0, 0);
	how = wait_for(s, task);
	return how ? how : goes_on(task);
}

static void task_sigreturn(int task)
{
	expect_life(task, leave_handler(task));
}

/* Tracers ------------------------------------------------------------------------------------ */

static long task_ptrace(int task, long request, int other, long addr, volatile void *data)
{
	return task_syscall(task, __NR_ptrace, request, tasks[other].pid, addr, (long)data, 0);
}

static void seize(int task, int other)
{
	said(task_ptrace(task, PTRACE_SEIZE, other, 0, NULL));
}

/* A tracee that waits stops on its way to user space. */
static void stop(int other)
{
	if (stop_for_tracer(other, SPARE_CPU))
		give_up("%s does not stop", names[other]);
}

static void detach(int task, int other)
{
	said(task_ptrace(task, PTRACE_DETACH, other, 0, NULL));
	tasks[other].stopped = 0;
	onto(other, 0);
}

#define SET_AT	64

static long regset(int task, long request, int other, long note, long len)
{
	struct slot *s = slot_of(task);
	struct iovec *set = (void *)s->buf;
	long ret;

	set->iov_base = (u8 *)s->buf + SET_AT;
	set->iov_len = len;
	ret = task_ptrace(task, request, other, note, set);
	s->len = ret ? 0 : set->iov_len;
	return ret;
}

/* PTRACE_GETREGSET into buf + SET_AT. */
static long getregset(int task, int other, long note)
{
	return regset(task, PTRACE_GETREGSET, other, note, BUF_SIZE - SET_AT);
}

/* A set to write: a header, as NT_ARM_SVE has one, and 0 until something is put in. */
static void new_set(int task, int vl, int flags)
{
	struct user_sve_header *head = (void *)(slot_of(task)->buf + SET_AT);

	memset(head, 0, 0x10000);
	head->vl = vl;
	head->max_vl = vl ? 256 : 0;
	head->flags = flags;
}

static void put_in_set(int task, int at, int size, int len, const u128 *values, int count)
{
	fill((u8 *)slot_of(task)->buf + SET_AT + at, len, size, values, count);
}

static long setregset(int task, int other, long note, long len)
{
	return regset(task, PTRACE_SETREGSET, other, note, len);
}

//from arm64/regset.h: to_sve_format

/* One register is changed. */
static long poke(int task, int other, long note, int at, int size, const u128 *values, int count)
{
	u8 *set = (u8 *)slot_of(task)->buf + SET_AT;
	long ret = getregset(task, other, note), len = slot_of(task)->len;

	if (ret)
		return ret;
	if (note != NT_PRFPREG)
		len = to_sve_format(set, len);
	fill(set + at, size, size < 16 ? size : 16, values, count);
	return regset(task, PTRACE_SETREGSET, other, note, len);
}

/* A part of the set that getregset() has read. */
static void expect_in_set(int task, const char *name, int at, int size, int len, const u128 *values,
			  int count)
{
	struct slot *s = slot_of(task);
	int there = s->len >= (u32)(at + len) ? len : 0;

	compare(names[task], name, (const u8 *)s->buf + SET_AT + at, there, size, len, values, count);
}

/* Z, or V, of a set of NT_ARM_SVE or NT_ARM_SSVE, which can be in either format. */
static void expect_z_in_set(int task, const char *name, int n, int len, const u128 *values,
			    int count)
{
	const struct user_sve_header *head = (void *)(slot_of(task)->buf + SET_AT);
	int sve = head->flags & SVE_PT_REGS_SVE;
	int at = sve ? SVE_PT_SVE_ZREG_OFFSET(head->vl / 16, n) : SVE_PT_FPSIMD_OFFSET + 16 * n;

	expect_in_set(task, name, at, 16, sve ? len : 16, values, count);
}

/* Guests ------------------------------------------------------------------------------------- */

//from arm64/arch.h: CORE CORE_PC CORE_PSTATE ID_AA64PFR2 ID_FPMR EL0_TPIDR EL1_VBAR EL1_CPACR EL1_ZCR
//from arm64/arch.h: EL0_FPMR PSTATE_EL1h_DAIF CPACR_FPEN CPACR_ZEN is_state needs_finalize

struct vcpu {
	long fd;
	int at_store;		/* where the guest has left */
	struct kvm_vcpu_init target;
	u32 sve, fpmr;		/* as asked for */
	u32 initialized, has_sve, finalized, booted, given_cpacr;
};

static struct vcpu vcpus[VCPUS];
static long vms[TASKS][VCPUS];
static int vmm;			/* the task that makes the ioctls */
static long kvm = -1;

/* Where a task can see it: what is there, or a copy in its slot. */
static void *in_slot(volatile void *at, u64 len, u64 offset)
{
	u8 *copy = (u8 *)slot_of(vmm)->buf + offset;

	if (!at || ((u64)at >= BASE && (u64)at < BASE + TOTAL))
		return (void *)at;
	memcpy(copy, (void *)at, len);
	return copy;
}

static void out_of_slot(volatile void *to, const void *from, u64 len)
{
	if (to && to != from)
		memcpy((void *)to, from, len);
}

static long kvm_ioctl(long fd, long request, void *arg)
{
	int len = _IOC_SIZE(request);
	void *there = len ? in_slot(arg, len, 0) : arg;
	long ret = task_syscall(vmm, __NR_ioctl, fd, request, (long)there, 0, 0);

	if (len)
		out_of_slot(arg, there, len);
	return ret;
}

//from vmm.c: size_of

static long one_reg(struct vcpu *v, int set, u64 id, volatile void *value)
{
	void *there = in_slot(value, size_of(id), 64);
	struct kvm_one_reg reg = { id, (u64)there };
	long ret = kvm_ioctl(v->fd, set ? KVM_SET_ONE_REG : KVM_GET_ONE_REG, &reg);

	if (!set)
		out_of_slot(value, there, size_of(id));
	return ret;
}

static int left_by_store(struct vcpu *v)
{
	return v->at_store;
}

//from task.h: zero
//from vmm.c: set_reg longest boot hide_fpmr init finalize finalize_once saved save restore

static long create_vm(void)
{
	struct kvm_userspace_memory_region memory = {
		.guest_phys_addr = CODE_IPA,
		.memory_size = CODE_SIZE,
		.userspace_addr = CODE,
	};
	long vm, error;

	strcpy((char *)slot_of(vmm)->buf, "/dev/kvm");
	kvm = task_syscall(vmm, __NR_openat, AT_FDCWD, (long)slot_of(vmm)->buf, O_RDWR, 0, 0);
	if (kvm < 0)
		return kvm;
	vm = kvm_ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm < 0)
		return vm;
	error = kvm_ioctl(vm, KVM_SET_USER_MEMORY_REGION, &memory);
	return error ? error : vm;
}

static long create(int who, int vm, u32 sve, u32 fpmr)
{
	struct vcpu *v = vcpu_of(who);
	struct kvm_userspace_memory_region memory = {
		.slot = v - vcpus + 1,
		.guest_phys_addr = guest_ipa(v - vcpus),
		.memory_size = SLOT_SIZE,
		.userspace_addr = (u64)slot_of(who),
	};
	long error;

	if (!vms[vmm][vm])
		vms[vmm][vm] = create_vm();
	if (vms[vmm][vm] < 0)
		return vms[vmm][vm];
	v->sve = sve;
	v->fpmr = fpmr;
	error = kvm_ioctl(vms[vmm][vm], KVM_SET_USER_MEMORY_REGION, &memory);
	if (error)
		return error;
	v->fd = kvm_ioctl(vms[vmm][vm], KVM_CREATE_VCPU, (void *)(long)(v - vcpus));
	return v->fd < 0 ? v->fd : kvm_ioctl(vms[vmm][vm], KVM_ARM_PREFERRED_TARGET, &v->target);
}

/* A vcpu of a VM of this task, which KVM_ARM_VCPU_INIT has not seen yet. */
static void create_vcpu(int task, int who, int vm, int sve, int fpmr)
{
	long error;

	vmm = thread_of[who] = task;
	onto(task, SPARE_CPU);
	error = create(who, vm, sve, fpmr);
	onto(task, 0);
	if (error)
		give_up("%s cannot be created: %s", names[who], strerror(-error));
}

static void create_booted_vcpu(int task, int who, int vm, int sve, int fpmr)
{
	struct vcpu *v = vcpu_of(who);
	long error;

	create_vcpu(task, who, vm, sve, fpmr);
	onto(task, SPARE_CPU);
	error = init(v, sve << KVM_ARM_VCPU_SVE);
	error = error ? error : finalize_once(v);
	error = error ? error : boot(v);
	onto(task, 0);
	if (error)
		give_up("%s cannot be created: %s", names[who], strerror(-error));
}

static long vcpu_init(int task, int who, u32 features)
{
	long error;

	vmm = task;
	error = init(vcpu_of(who), features);
	if (!error) /* a command that its guest had left undone */
		slot_of(who)->done = slot_of(who)->seq;
	return error;
}

static long vcpu_finalize(int task, int who, int feature)
{
	vmm = task;
	return finalize(vcpu_of(who), feature);
}

/* KVM_GET_REG_LIST, with room for so many. */
static long get_reg_list(int task, int who, int room)
{
	struct kvm_reg_list *ids = (void *)slot_of(task)->buf;

	vmm = task;
	ids->n = room;
	return kvm_ioctl(vcpu_of(who)->fd, KVM_GET_REG_LIST, ids);
}

static long set_one_reg(int task, int who, u64 id, int size, const u128 *values, int count)
{
	u8 *value = (u8 *)slot_of(task)->buf + SET_AT;
	struct vcpu *v = vcpu_of(who);
	long error;

	vmm = task;
	fill(value, size_of(id), size, values, count);
	error = one_reg(v, 1, id, value);
	v->given_cpacr |= !error && id == EL1_CPACR;
	return error;
}

static long set_one_reg_null(int task, int who, u64 id)
{
	vmm = task;
	return one_reg(vcpu_of(who), 1, id, NULL);
}

/* KVM_GET_ONE_REG into buf + SET_AT. */
static long get_one_reg(int task, int who, u64 id)
{
	struct slot *s = slot_of(task);
	long error;

	vmm = task;
	error = one_reg(vcpu_of(who), 0, id, s->buf + SET_AT);
	s->len = error ? 0 : SET_AT + size_of(id);
	return error;
}

static long get_one_reg_null(int task, int who, u64 id)
{
	vmm = task;
	return one_reg(vcpu_of(who), 0, id, NULL);
}

static long vcpu_save(int task, int who, u64 dropped)
{
	vmm = task;
	return save(vcpu_of(who), saved_of(who - TASKS), dropped);
}

static long vcpu_restore(int task, int who, int from, u64 first)
{
	long error;

	vmm = task;
	error = restore(vcpu_of(who), saved_of(from - TASKS), first);
	if (!error)
		slot_of(who)->done = slot_of(who)->seq;
	return error;
}

/* Either the guest answers, and runs, or the ioctl has failed. */
static long vcpu_run(int task, int who)
{
	struct vcpu *v = vcpu_of(who);
	struct slot *s = slot_of(task), *g = slot_of(who);
	int left_undone = g->done != g->seq; /* the store that it left by is done first */
	double began;
	long error = 0;

	vmm = task;
	if (!v->booted && v->initialized && (!v->has_sve || v->finalized))
		error = boot(v);
	if (error)
		return error;
	if (!left_undone)
		issue(g, 0, 0);
	issue_syscall(task, __NR_ioctl, v->fd, KVM_RUN, 0, 0, 0);
	began = now();
	for (;;) {
		if (g->done == g->seq) {
			if (!left_undone)
				break;
			left_undone = 0;
			issue(g, 0, 0);
		}
		if (s->done == s->seq) {
			g->done = g->seq;
			return s->ret;
		}
		reap();
		if (tasks[task].dead || now() - began > PATIENCE)
			give_up("the guest of %s does not answer", names[who]);
		YIELD();
	}
	v->at_store = 0;
	tasks[task].guest = who - TASKS;
	return 0;
}

/* KVM_RUN returns: the guest stores to where nothing is. */
static void leave_guest(int who)
{
	int task = thread_of[who];

	issue(slot_of(who), OP_mmio, 0);
	tasks[task].guest = -1;
	vcpu_of(who)->at_store = 1;
	expect_life(task, wait_for(slot_of(task), task));
	said(slot_of(task)->ret);
}

/* Begin and end ------------------------------------------------------------------------------ */

//from arm64/machine.c: PR_SVE_SET PR_SVE_GET PR_SME_SET PR_SME_GET VL_MASK length has_lengths

static int kvm_has(long capability)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC), got = 0;

	if (fd >= 0) {
		got = capability < 0 || ioctl(fd, KVM_CHECK_EXTENSION, capability) > 0;
		close(fd);
	}
	return got;
}

static void prepare(void)
{
	struct sched_param top = { 90 };
	void *memory = mmap((void *)BASE, TOTAL, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	skip_unless(memory == (void *)BASE, "the memory that tasks share is in use");
	skip_unless(sysconf(_SC_NPROCESSORS_ONLN) > SPARE_CPU, "too few CPUs");
	skip_unless(!sched_setaffinity(0, sizeof(set), &set) && !sched_setscheduler(0, SCHED_FIFO, &top),
		    "SCHED_FIFO on CPU 0 needs root");
	rt_runtime = set_rt_runtime(-1);
}

static void load_guests(void)
{
	memcpy((void *)CODE, guest_start, guest_end - guest_start);
	__builtin___clear_cache((char *)CODE, (char *)CODE + CODE_SIZE);
}
