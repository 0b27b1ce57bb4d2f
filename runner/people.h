/* SPDX-License-Identifier: GPL-2.0-only */
/* The tasks of a trace: how they are started, waited for, and put on and off CPUs. */
#ifndef PEOPLE_H
#define PEOPLE_H

#include "script.h"

struct task {
	int pid;		/* 0: not there */
	int dead, status;
	int cpu;		/* of the machine, 0 for one that is kept from running */
	int guest;		/* the vcpu whose guest runs in it, -1 for none */
	int blocked;		/* in futex() */
	int stopped;		/* by its tracer */
};

extern struct task tasks[TASKS];
extern const char *task_program;

void forget_tasks(void);
int start_task(int n);		/* -1 and a line in the log if it does not come up */
void end_tasks(void);
void reap(void);

void issue(struct slot *s, int op, int n);
enum how { DIED = 1, STUCK };	/* what a wait comes to, if not to 0 */
/* These return 0, or an `enum how` if what they wait for never comes: a slot's command is done; a task
 * runs; the handler of its signal does, of which there were so many. */
int wait_for(struct slot *s, int task);
int goes_on(int task);
int signalled(int task, u32 signals);
/* `to` is -1 for the idle task. Who was current is still there, or is in futex(). */
int switch_tasks(int cpu, int from, int to);
int switch_from_blocked(int from, int to);
char state_of(int task);

void priority(int task, int value);
void onto(int task, int cpu);
void park_others(int cpu, int one, int other);
void wake(int task);
/* Before and after the controller sleeps: who waits on CPU 0, or (but for one) on this one, must not
 * run there. */
void stop_waiting(int cpu, int but);
void let_wait(void);
int stop_for_tracer(int task, int cpu);
double now(void);
void pause_for(double seconds);

#define CURRENT	50	/* SCHED_FIFO priorities: who runs, and who waits */
#define WAITING	10
#define PATIENCE 10.0	/* seconds; an emulator can be slow */
#define YIELD()	asm volatile("yield" : : : "memory")
#endif
