// SPDX-License-Identifier: GPL-2.0-only
/*
 * The controller spins on CPU 0 at a priority above all, so that a task which is put there does not
 * run. Who is current on another CPU has CURRENT, who waits there WAITING: a switch is a change of
 * priorities, and takes a task out of user space by an interrupt, wherever its program is.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/futex.h>
#include "people.h"

struct task tasks[TASKS];
const char *task_program;

double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

void pause_for(double seconds)
{
	double began = now();

	while (now() - began < seconds)
		YIELD();
}

void forget_tasks(void)
{
	memset(tasks, 0, sizeof(tasks));
	for (int i = 0; i < TASKS; i++)
		tasks[i].guest = -1;
}

static void ended(int pid, int status)
{
	for (int i = 0; i < TASKS; i++)
		if (tasks[i].pid == pid) {
			tasks[i].dead = 1;
			tasks[i].status = status;
		}
}

void reap(void)
{
	int status, pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (WIFEXITED(status) || WIFSIGNALED(status))
			ended(pid, status);
}

void issue(struct slot *s, int op, int n)
{
	s->op = op;
	s->n = n;
	s->ret = 0;
	__sync_synchronize();
	s->seq++;
}

/* The letter of /proc/PID/stat: `t` for one that its tracer has stopped. */
char state_of(int task)
{
	char path[32], text[512], *at;
	int fd, n;

	snprintf(path, sizeof(path), "/proc/%d/stat", tasks[task].pid);
	fd = open(path, O_RDONLY);
	n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = 0;
	at = strrchr(text, ')');
	return at ? at[2] : '?';
}

int wait_for(struct slot *s, int task)
{
	double began = now();

	for (int i = 1; s->done != s->seq; i++) {
		if (!(i & 1023)) {
			reap();
			if (tasks[task].dead)
				return DIED;
			if (now() - began > 0.05 && state_of(task) == 't')
				return DIED; /* its tracer is told of the signal first */
			if (now() - began > 0.05 && state_of(task) == 'D') {
				/* It exits, and waits for RCU: kernel threads need its CPU and this. */
				stop_waiting(tasks[task].cpu, task);
				usleep(2000);
				let_wait();
			}
			if (now() - began > PATIENCE)
				return STUCK;
		}
		YIELD();
	}
	__sync_synchronize(); /* what was answered is read after this */
	return 0;
}

int goes_on(int task)
{
	int guest = tasks[task].guest;
	struct slot *s = guest < 0 ? slot_of(task) : guest_slot(guest);

	issue(s, 0, 0);
	return wait_for(s, task);
}

/* A signal has come once its handler runs. */
int signalled(int task, u32 signals)
{
	double began = now();

	while (slot_of(task)->signals == signals) {
		reap();
		if (tasks[task].dead)
			return DIED;
		if (now() - began > PATIENCE)
			return STUCK;
		YIELD();
	}
	return goes_on(task);
}

void priority(int task, int value)
{
	struct sched_param p = { value };

	sched_setscheduler(tasks[task].pid, SCHED_FIFO, &p);
}

static void starve(int task)
{
	struct sched_param p = { 0 };

	sched_setscheduler(tasks[task].pid, SCHED_IDLE, &p);
}

void onto(int task, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	tasks[task].cpu = cpu;
	sched_setaffinity(tasks[task].pid, sizeof(set), &set);
}

/* Nobody but these two may run on this CPU now. */
void park_others(int cpu, int one, int other)
{
	for (int i = 0; i < TASKS; i++)
		if (i != one && i != other && tasks[i].pid && !tasks[i].dead && tasks[i].cpu == cpu)
			onto(i, 0);
}

static void each_waiting(int signal)
{
	for (int i = 0; i < TASKS; i++)
		if (tasks[i].pid > 0 && !tasks[i].dead && !tasks[i].cpu && !tasks[i].stopped &&
		    !tasks[i].blocked)
			kill(tasks[i].pid, signal);
}

void stop_waiting(int cpu, int but)
{
	park_others(cpu, but, -1);
	each_waiting(SIGSTOP);
}

void let_wait(void)
{
	each_waiting(SIGCONT);
}

void wake(int task)
{
	struct slot *s = slot_of(task);

	tasks[task].blocked = 0;
	s->futex = 1;
	syscall(SYS_futex, &s->futex, FUTEX_WAKE, 1, 0, 0, 0);
}

static void to_idle(int cpu, int task)
{
	park_others(cpu, task, -1);
	if (task >= 0 && !tasks[task].dead) {
		onto(task, 0);
		priority(task, WAITING);
	}
	pause_for(0.0005);
}

int switch_tasks(int cpu, int from, int to)
{
	if (to < 0) {
		to_idle(cpu, from);
		return 0;
	}
	park_others(cpu, from, to);
	if (from < 0 || tasks[from].dead || tasks[from].stopped) {
		priority(to, CURRENT);
		onto(to, cpu);
		if (tasks[to].blocked)
			wake(to);
	} else {
		priority(to, WAITING);
		onto(to, cpu);
		if (tasks[to].blocked) {
			wake(to);
			pause_for(0.0003);
		}
		priority(to, CURRENT);
		priority(from, WAITING);
	}
	return goes_on(to);
}

/* A task has called futex(), and another one goes on. */
int switch_from_blocked(int from, int to)
{
	int how = 0;

	tasks[from].blocked = 1;
	if (to < 0)
		pause_for(0.001);
	else {
		if (tasks[to].blocked) {
			pause_for(0.001);
			priority(to, CURRENT);
			wake(to);
		}
		how = goes_on(to);
		priority(to, CURRENT);
	}
	priority(from, WAITING);
	return how;
}

/*
 * A task that waits gets a signal, and stops for its tracer before its program could go on. In a
 * system call it is interrupted, and makes the call again when it goes on.
 */
int stop_for_tracer(int task, int cpu)
{
	double began = now();

	slot_of(task)->futex = 1; /* a futex() that is made again does not wait */
	tasks[task].blocked = 0;
	kill(tasks[task].pid, SIGUSR2);
	priority(task, CURRENT);
	onto(task, cpu);
	while (state_of(task) != 't')
		if (now() - began > PATIENCE)
			return -1;
	priority(task, WAITING);
	tasks[task].stopped = 1;
	return 0;
}

int start_task(int n)
{
	struct slot *s = slot_of(n);
	double began = now();

	fflush(stdout);
	tasks[n].pid = fork();
	if (!tasks[n].pid) {
		struct sched_param p = { 0 };
		char number[2] = { '0' + n, 0 };

		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* nobody would stop it */
		sched_setscheduler(0, SCHED_OTHER, &p);
		execl(task_program, "kvm-replay-task", number, (char *)0);
		_exit(9);
	}
	while (!s->ready) {
		usleep(200);
		reap();
		if (tasks[n].dead || now() - began > 10) {
			log_line("! 0 task %d did not start", n);
			return -1;
		}
	}
	if (s->ret)
		log_line("! 0 task %d cannot create its vcpus: errno %ld", n, -s->ret);
	if (s->ret)
		return -1;
	starve(n); /* or the next one could not start */
	return 0;
}

void end_tasks(void)
{
	for (int i = 0; i < TASKS; i++)
		if (tasks[i].pid > 0 && !tasks[i].dead)
			kill(tasks[i].pid, SIGKILL);
	for (double began = now(); now() - began < 3;) {
		int left = 0;

		reap();
		for (int i = 0; i < TASKS; i++)
			left += tasks[i].pid > 0 && !tasks[i].dead;
		if (!left)
			return;
		usleep(300);
	}
}
