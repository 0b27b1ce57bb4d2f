/* SPDX-License-Identifier: GPL-2.0-only */
/* A command of a script, and what is answered. */
#ifndef SCRIPT_H
#define SCRIPT_H

#include "shared.h"

#define WORDS 8

struct command {
	int line;		/* of the trace: what an answer is of */
	const char *name;
	const char *what;	/* the operation, for who has several */
	long arg[WORDS];
	int args;
	const char *data;	/* in hex: what is to be written */
	const char *due;	/* in hex: what the program is entitled to read, or NULL */
	const char *may;	/* `dies` or `undef`: what it is entitled to instead, or NULL */
};

int parse(char *line, struct command *c);
int register_op(const char *name);	/* the number of an operation, -1 for none */
int task_op(const char *name);
u32 unhex(volatile u8 *to, const char *hex);

void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
void answer(const struct command *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
void answer_slot(const struct command *c, const struct slot *s, int in_c);
void give_up(const struct command *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

extern int wrong;	/* results of this trace that no program is entitled to */
extern int gave_up;	/* this trace cannot be carried out further */
#endif
