// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm-replay-runner SCRIPT: carries out a script of `kvm-replay drive`, and writes KTAP. Each trace is
 * a test: `not ok` if a program has read what it is not entitled to, or has died. In the lines that
 * begin with `#` are the traces and all answers, for `kvm-replay conform`.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/membarrier.h>
#include "people.h"
#include "arm64/frame.h"
#include "arm64/machine.h"

extern u8 guest_start[], guest_end[];

static int spare_cpu;		/* where a task is stopped for its tracer */
static int current[16];		/* on each CPU of the machine, -1 for none */
static int unplugged;		/* a CPU is, or may be, off line */
static int total, failed, missing, skipped; /* results */

/* How a wait has ended, into the log: 0 if well. */
static int ended(const struct command *c, int task, int how)
{
	if (how == DIED)
		answer(c, "died %d", tasks[task].dead ? WTERMSIG(tasks[task].status) : 0);
	else if (how)
		give_up(c, "task %d does not answer (state %c)", task, state_of(task));
	return how;
}

/* Commands of a task itself -------------------------------------------------------------- */

static void by_task(struct command *c)
{
	int n = c->arg[0], op = register_op(c->what);
	struct slot *s = slot_of(n);

	unhex(s->buf, c->data);
	issue(s, op, c->arg[1]);
	if (!ended(c, n, wait_for(s, n)))
		answer_slot(c, s, 0);
}

static void by_guest(struct command *c)
{
	int n = c->arg[0], vcpu = tasks[n].guest;
	struct slot *s = guest_slot(vcpu);

	if (vcpu < 0) {
		give_up(c, "no guest runs");
		return;
	}
	unhex(s->buf, c->data);
	issue(s, register_op(c->what), c->arg[1]);
	if (!ended(c, n, wait_for(s, n)))
		answer_slot(c, s, 0);
	else if (gave_up && slot_of(n)->done == slot_of(n)->seq)
		log_line("KVM_RUN has returned %ld, exit reason %ld", slot_of(n)->ret, slot_of(n)->x);
}

static void in_c(struct command *c)
{
	int n = c->arg[0], op = task_op(c->what);
	struct slot *s = slot_of(n);
	u32 signals = s->signals;

	for (int i = 0; i < 4; i++)
		s->arg[i] = c->arg[i + 1];
	if (op == OP_getregset || op == OP_setregset || op == OP_poke || op == OP_seize ||
	    op == OP_detach)
		s->arg[0] = tasks[c->arg[1]].pid;
	if (op == OP_detach) {
		tasks[c->arg[1]].stopped = 0;
		onto(c->arg[1], 0); /* where it waits */
	}
	unhex(s->buf, c->data);
	issue(s, op, 0);
	if (ended(c, n, wait_for(s, n)))
		return;
	if (op == OP_signalled) {
		if (ended(c, n, signalled(n, signals)))
			return;
	}
	if (op == OP_init || op == OP_restore) /* what its guest had left undone */
		guest_slot(c->arg[1])->done = guest_slot(c->arg[1])->seq;
	if (op == OP_neon && s->ret < 0)
		give_up(c, "AF_ALG: %s", strerror(-s->ret));
	answer_slot(c, s, 1);
}

/* Guests --------------------------------------------------------------------------------- */

/* KVM_RUN: either the guest answers, or the ioctl has failed. */
static void run(struct command *c)
{
	int n = c->arg[0], vcpu = c->arg[1];
	struct slot *s = slot_of(n), *g = guest_slot(vcpu);
	int left_undone = g->done != g->seq; /* the store that it left by is done first */
	double began = now();

	s->arg[0] = vcpu;
	if (!left_undone)
		issue(g, 0, 0);
	issue(s, OP_run, 0);
	for (int i = 1;; i++) {
		if (g->done == g->seq) {
			if (!left_undone)
				break;
			left_undone = 0;
			issue(g, 0, 0);
		}
		if (s->done == s->seq) {
			g->done = g->seq;
			answer_slot(c, s, 1);
			return;
		}
		if (!(i & 1023)) {
			reap();
			if (tasks[n].dead || now() - began > PATIENCE) {
				give_up(c, "the guest does not answer");
				return;
			}
		}
		YIELD();
	}
	tasks[n].guest = vcpu;
	answer(c, "guest");
}

static void leave(struct command *c)
{
	int n = c->arg[0];

	issue(guest_slot(tasks[n].guest), register_op("mmio"), 0);
	tasks[n].guest = -1;
	if (!ended(c, n, wait_for(slot_of(n), n)))
		answer_slot(c, slot_of(n), 1);
}

/* The scheduler -------------------------------------------------------------------------- */

static void do_switch(struct command *c)
{
	int cpu = c->arg[0], from = c->arg[1], to = c->arg[2];

	current[cpu] = to;
	if (!ended(c, to, switch_tasks(cpu, from, to)))
		answer(c, "ok");
}

/* A task blocks in a system call, and another one goes on. */
static void block(struct command *c)
{
	int n = c->arg[0], cpu = c->arg[1], to = c->arg[2];

	park_others(cpu, n, to);
	if (to >= 0) {
		priority(to, WAITING);
		onto(to, cpu);
	}
	slot_of(n)->futex = 0;
	issue(slot_of(n), OP_block, 0);
	current[cpu] = to;
	if (!ended(c, to, switch_from_blocked(n, to)))
		answer(c, "ok");
}

static void stop(struct command *c)
{
	if (stop_for_tracer(c->arg[0], spare_cpu))
		give_up(c, "it does not stop");
	else
		answer(c, "ok");
}

static void interrupt(struct command *c)
{
	long error = syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0);

	if (error)
		give_up(c, "membarrier: %s", strerror(errno));
	else if (!ended(c, c->arg[0], goes_on(c->arg[0])))
		answer(c, "ok");
}

static void hotplug(struct command *c)
{
	char path[64];
	int cpu = c->arg[0], fd, n;

	stop_waiting(cpu, -1);
	unplugged = 1;
	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online", cpu);
	fd = open(path, O_WRONLY);
	n = write(fd, c->arg[1] ? "1" : "0", 1);
	close(fd);
	let_wait();
	if (n != 1)
		give_up(c, "%s: %s", path, strerror(errno));
	else
		answer(c, "ok");
}

/* Signals -------------------------------------------------------------------------------- */

static void do_signal(struct command *c)
{
	int n = c->arg[0];
	u32 signals = slot_of(n)->signals;

	kill(tasks[n].pid, SIGUSR1);
	if (!ended(c, n, signalled(n, signals)))
		answer(c, "ok");
}

/* A signal for who waits: its handler runs when it is next switched to. */
static void pend(struct command *c)
{
	int n = c->arg[0];

	tasks[n].blocked = 0;
	kill(tasks[n].pid, SIGUSR1);
	answer(c, "ok");
}

static void do_frame(struct command *c)
{
	int n = c->arg[0];
	const char *why = frame_write_v(tasks[n].pid, slot_of(n)->frame, c->arg[1], c->data);

	if (why)
		give_up(c, "%s", why);
	else
		answer(c, "ok");
}

static void do_sigreturn(struct command *c)
{
	int n = c->arg[0];
	struct slot *s = slot_of(n);
	const char *why = NULL;

	if (strcmp(c->what, "whole"))
		why = frame_forge(tasks[n].pid, s->frame, c->what, c->arg[1]);
	if (why) {
		give_up(c, "%s", why);
		return;
	}
	s->once = 1;
	issue(s, 0, 0);
	if (!ended(c, n, wait_for(s, n)) && !ended(c, n, goes_on(n)))
		answer(c, "ok");
}

/* Life ----------------------------------------------------------------------------------- */

static void do_fork(struct command *c, int op)
{
	int n = c->arg[0], child = c->arg[1];
	struct slot *s = slot_of(n);

	slot_of(child)->number = child;
	s->arg[0] = child;
	issue(s, op, 0);
	if (ended(c, n, wait_for(s, n)))
		return;
	if (s->ret > 0) {
		tasks[child].pid = s->ret;
		tasks[child].cpu = tasks[n].cpu;
		priority(child, WAITING);
		s->ret = 0;
	}
	answer_slot(c, s, 1);
}

static void do_exec(struct command *c)
{
	int n = c->arg[0];
	struct slot *s = slot_of(n);

	s->ready = 0;
	issue(s, OP_exec, 0);
	for (double began = now(); !s->ready;) {
		reap();
		if (tasks[n].dead || now() - began > 5) {
			give_up(c, "the new program does not answer");
			return;
		}
		YIELD();
	}
	if (!ended(c, n, goes_on(n)))
		answer(c, "ok");
}

static void do_exit(struct command *c)
{
	int n = c->arg[0];

	park_others(tasks[n].cpu, n, -1);
	issue(slot_of(n), OP_exit, 0);
	for (double began = now(); !tasks[n].dead && now() - began < PATIENCE;) {
		reap();
		YIELD();
	}
	if (tasks[n].dead)
		answer(c, "ok");
	else
		give_up(c, "it does not exit");
}

/* A trace -------------------------------------------------------------------------------- */

static void forget(void)
{
	memset((void *)BASE, 0, CODE - BASE);
	forget_tasks();
	for (int i = 0; i < 16; i++)
		current[i] = -1;
	wrong = gave_up = 0;
}

static void a_task(struct command *c)
{
	int n = c->arg[0], cpu = c->arg[1];

	if (cpu > 0)
		current[cpu] = n;
	tasks[n].pid = -1; /* to be started */
	slot_of(n)->number = n;
	slot_of(n)->neon = c->arg[2];
}

static void a_vcpu(struct command *c)
{
	struct slot *s = slot_of(c->arg[1]);

	s->vcpu[s->vcpus].vcpu = c->arg[0];
	s->vcpu[s->vcpus].vm = c->arg[2];
	s->vcpu[s->vcpus].sve = c->arg[3];
	s->vcpu[s->vcpus].created = c->arg[4];
	s->vcpu[s->vcpus++].fpmr = c->arg[5];
}

static void go(struct command *c)
{
	for (int i = 0; i < TASKS && !gave_up; i++)
		if (tasks[i].pid == -1) {
			tasks[i].pid = 0;
			gave_up = start_task(i) < 0;
		}
	for (int i = 0; i < TASKS; i++)
		if (tasks[i].pid > 0)
			priority(i, WAITING);
	for (int cpu = 1; cpu < 16 && !gave_up; cpu++)
		if (current[cpu] >= 0) {
			priority(current[cpu], CURRENT);
			onto(current[cpu], cpu);
			ended(c, current[cpu], goes_on(current[cpu]));
		}
}

/* Whether a command is one of a script of ours: it names who is there, and an operation. */
static int sound(const struct command *c)
{
	long who = c->arg[0];

	for (int i = 0; i < c->args; i++)
		if (c->what[0] == 0 && (c->arg[i] < -1 || c->arg[i] > 4096))
			return 0;
	if (!strcmp(c->name, "go"))
		return 1;
	if (!strcmp(c->name, "task"))
		return who >= 0 && who < TASKS && c->arg[1] >= 0 && c->arg[1] < 16;
	if (!strcmp(c->name, "vcpu"))
		return who >= 0 && who < VCPUS && c->arg[1] >= 0 && c->arg[1] < TASKS &&
		       c->arg[2] >= 0 && c->arg[2] < VCPUS && slot_of(c->arg[1])->vcpus < VCPUS;
	if (!strcmp(c->name, "hotplug"))
		return who > 0 && who < 16;
	if (!strcmp(c->name, "switch"))
		return who > 0 && who < 16 && c->arg[1] < TASKS && c->arg[2] < TASKS;
	if (who < 0 || who >= TASKS || tasks[who].pid <= 0)
		return 0;
	if (!strcmp(c->name, "t") || !strcmp(c->name, "g"))
		return register_op(c->what) >= 0 && c->arg[1] >= 0 && c->arg[1] < 32;
	if (!strcmp(c->name, "c"))
		return task_op(c->what) >= 0;
	if (!strcmp(c->name, "leave"))
		return tasks[who].guest >= 0;
	if (!strcmp(c->name, "frame"))
		return c->arg[1] >= 0 && c->arg[1] < 32;
	if (!strcmp(c->name, "block"))
		return c->arg[1] > 0 && c->arg[1] < 16 && c->arg[2] < TASKS;
	return !strcmp(c->name, "run") || !strcmp(c->name, "fork") || !strcmp(c->name, "clone") ?
		c->arg[1] >= 0 && c->arg[1] < VCPUS : 1;
}

/* A trace may leave CPUs off line; the next one finds them all. */
static void all_on_line(void)
{
	for (int cpu = 1; cpu < 16; cpu++) {
		char path[64];
		int fd;

		snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online", cpu);
		fd = open(path, O_WRONLY);
		if (fd < 0)
			continue;
		if (write(fd, "1", 1) != 1)
			log_line("cpu%d stays off line", cpu);
		close(fd);
	}
}

static void carry_out(char *line)
{
	struct command c;

	if (parse(line, &c)) {
		give_up(&c, "no command");
		return;
	}
#define IS(word) !strcmp(c.name, word)
	if (!sound(&c)) {
		give_up(&c, "unknown operation, or a number that no script has");
		return;
	}
	if (IS("t")) by_task(&c);
	else if (IS("g")) by_guest(&c);
	else if (IS("c")) in_c(&c);
	else if (IS("run")) run(&c);
	else if (IS("leave")) leave(&c);
	else if (IS("switch")) do_switch(&c);
	else if (IS("block")) block(&c);
	else if (IS("stop")) stop(&c);
	else if (IS("interrupt")) interrupt(&c);
	else if (IS("hotplug")) hotplug(&c);
	else if (IS("signal")) do_signal(&c);
	else if (IS("pend")) pend(&c);
	else if (IS("frame")) do_frame(&c);
	else if (IS("sigreturn")) do_sigreturn(&c);
	else if (IS("fork")) do_fork(&c, OP_fork);
	else if (IS("clone")) do_fork(&c, OP_clone);
	else if (IS("exec")) do_exec(&c);
	else if (IS("exit")) do_exit(&c);
	else if (IS("task")) a_task(&c);
	else if (IS("vcpu")) a_vcpu(&c);
	else if (IS("go")) go(&c);
	else give_up(&c, "unknown command");
#undef IS
}

static void result(const char *id, const char *skip)
{
	total++;
	if (skip) {
		skipped++;
		printf("ok %d %s # SKIP %s\n", total, id, skip);
	} else if (gave_up) {
		missing++;
		printf("not ok %d %s # could not be carried out\n", total, id);
	} else {
		failed += wrong > 0;
		printf("%s %d %s\n", wrong ? "not ok" : "ok", total, id);
	}
	fflush(stdout);
}

/* Lines of a script: `test ID`, `# text`, `machine ...`, commands, `end`; or `skip ID WHY`. */
static int play(FILE *script)
{
	static char line[4 * BUF_SIZE], id[256];
	const char *lacks = NULL;
	int whole = 0;

	while (fgets(line, sizeof(line), script)) {
		line[strcspn(line, "\n")] = 0;
		if (!strncmp(line, "plan ", 5))
			printf("1..%s\n", line + 5);
		else if (!strncmp(line, "skip ", 5)) {
			char *why = strchr(line + 5, ' ');

			if (why)
				*why++ = 0;
			result(line + 5, why ? why : "");
		} else if (!strncmp(line, "test ", 5)) {
			snprintf(id, sizeof(id), "%.255s", line + 5);
			printf("# test %s\n", id);
			forget();
			lacks = NULL;
		} else if (line[0] == '#')
			puts(line);
		else if (!strncmp(line, "machine ", 8)) {
			lacks = lacks ? lacks : lacking(line + 8);
		} else if (!strncmp(line, "cpus ", 5)) {
			spare_cpu = atoi(line + 5) + 1;
			if (sysconf(_SC_NPROCESSORS_ONLN) < spare_cpu + 1)
				lacks = "too few CPUs: one more for the controller, one to stop at";
		} else if (!strcmp(line, "end")) {
			if (!lacks) {
				end_tasks();
				if (unplugged)
					all_on_line();
				unplugged = 0;
			}
			result(id, lacks);
		} else if (!strcmp(line, "whole"))
			whole = 1;
		else if (!lacks && !gave_up)
			carry_out(line);
	}
	return whole;
}

/* Whether SCHED_FIFO leaves a share to others (sched_rt_runtime_us): as it was, or not. */
static void throttling(int as_it_was)
{
	static char was[24];
	int fd = open("/proc/sys/kernel/sched_rt_runtime_us", O_RDWR);
	const char *now = as_it_was ? was : "-1";

	if (fd < 0)
		return;
	if (!as_it_was && read(fd, was, sizeof(was) - 1) <= 0)
		was[0] = 0;
	if (*now && pwrite(fd, now, strlen(now), 0) < 0)
		log_line("sched_rt_runtime_us stays as it is");
	close(fd);
}

static void throttle(void)
{
	throttling(1);
}

static int prepare(void)
{
	static char path[4096 + sizeof("kvm-replay-task")];
	cpu_set_t set;
	struct sched_param top = { 90 };
	int fd = syscall(SYS_memfd_create, "kvm-replay", 0);
	ssize_t length = readlink("/proc/self/exe", path, 4096);

	if (length < 0 || fd < 0 || ftruncate(fd, TOTAL) || (fd != SHARED_FD && dup2(fd, SHARED_FD) < 0))
		return -1;
	if (mmap((void *)BASE, TOTAL, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, SHARED_FD, 0) !=
	    (void *)BASE)
		return -1;
	memcpy((void *)CODE, guest_start, guest_end - guest_start);
	__builtin___clear_cache((char *)CODE, (char *)CODE + CODE_SIZE);
	strcpy(strrchr(path, '/') + 1, "kvm-replay-task"); /* beside this one */
	task_program = path;
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	throttling(0);
	atexit(throttle);
	CPU_ZERO(&set);
	CPU_SET(0, &set);
	if (sched_setaffinity(0, sizeof(set), &set) || sched_setscheduler(0, SCHED_FIFO, &top)) {
		fprintf(stderr, "SCHED_FIFO: %s; run it as root\n", strerror(errno));
		return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct utsname uts;
	FILE *script;
	double began = now();

	if (argc != 2) {
		fprintf(stderr, "usage: kvm-replay-runner SCRIPT\n");
		return 2;
	}
	setvbuf(stdout, malloc(1 << 20), _IOFBF, 1 << 20);
	if (prepare()) {
		fprintf(stderr, "kvm-replay-runner: cannot begin: %s\n", strerror(errno));
		return 2;
	}
	script = fopen(argv[1], "r"); /* after SHARED_FD has its number */
	if (!script) {
		fprintf(stderr, "%s: %s\n", argv[1], strerror(errno));
		return 2;
	}
	uname(&uts);
	puts("KTAP version 1");
	log_line("kvm-replay log 1 %s %s", uts.machine, uts.release);
	if (!play(script)) {
		printf("Bail out! the script is not whole\n");
		fflush(stdout);
		return 2;
	}
	log_line("%.1f s", now() - began);
	log_line("Totals: pass:%d fail:%d xfail:0 xpass:0 skip:%d error:%d",
		 total - failed - missing - skipped, failed, skipped, missing);
	fflush(stdout);
	return failed || missing;
}
