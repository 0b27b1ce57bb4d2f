// SPDX-License-Identifier: GPL-2.0-only
/*
 * Commands are lines: LINE NAME [WORD] NUMBER... [: HEX] [= HEX] [! WORD]. Each answer is a line of
 * the log, `# = LINE ...`, where LINE is that of the trace's event.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "script.h"

int wrong, gave_up;

static const char *const register_ops[] = {
#define OP(name) #name,
#include "arm64/ops.h"
#undef OP
};

static const char *const task_ops[] = {
#define OP(name) #name,
	TASK_OPS(OP)
#undef OP
};

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

static int find(const char *const *names, int count, const char *name)
{
	for (int i = 0; i < count; i++)
		if (!strcmp(names[i], name))
			return i;
	return -1;
}

int register_op(const char *name)
{
	return find(register_ops, COUNT(register_ops), name);
}

int task_op(const char *name)
{
	int n = find(task_ops, COUNT(task_ops), name);

	return n < 0 ? n : IN_C + n;
}

int parse(char *line, struct command *c)
{
	char *rest, *word, *end;

	memset(c, 0, sizeof(*c));
	c->what = "";
	word = strtok_r(line, " ", &rest);
	c->line = word ? atoi(word) : 0;
	c->name = strtok_r(NULL, " ", &rest);
	if (!c->name)
		return -1;
	while ((word = strtok_r(NULL, " ", &rest))) {
		if (!strcmp(word, ":"))
			c->data = strtok_r(NULL, " ", &rest);
		else if (!strcmp(word, "="))
			c->due = strtok_r(NULL, " ", &rest);
		else if (!strcmp(word, "!"))
			c->may = strtok_r(NULL, " ", &rest);
		else if (c->args < WORDS) {
			long number = strtoul(word, &end, 0);

			if (*word == '-')
				number = strtol(word, &end, 0);
			if (*end)
				c->what = word;
			else
				c->arg[c->args++] = number;
		}
	}
	return 0;
}

static int digit(char c)
{
	return c <= '9' ? c - '0' : c - 'a' + 10;
}

u32 unhex(volatile u8 *to, const char *hex)
{
	u32 n = 0;

	for (; hex && hex[0] && hex[1] && n < BUF_SIZE; hex += 2)
		to[n++] = digit(hex[0]) << 4 | digit(hex[1]);
	return n;
}

static void vlog(const char *format, va_list list)
{
	printf("# ");
	vprintf(format, list);
	putchar('\n');
}

void log_line(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vlog(format, list);
	va_end(list);
}

static void check(const struct command *c, const char *did)
{
	const char *may = c->may ? c->may : "";

	if (strcmp(may, did)) {
		wrong++;
		log_line("line %d: %s, expected %s", c->line, *did ? did : "goes on", *may ? may : "neither a signal nor an exception");
	}
}

void answer(const struct command *c, const char *format, ...)
{
	va_list list;

	printf("# = %d ", c->line);
	va_start(list, format);
	vprintf(format, list);
	va_end(list);
	putchar('\n');
	check(c, strncmp(format, "died", 4) ? "" : "dies");
}

void answer_slot(const struct command *c, const struct slot *s, int in_c)
{
	static u8 due[BUF_SIZE];
	u32 n, len = s->len < BUF_SIZE ? s->len : BUF_SIZE;

	printf("# = %d", c->line);
	if (in_c)
		printf(" ret %ld x %ld", s->ret, s->x);
	if (s->esr)
		printf(" undef %x", s->esr);
	if (len && !s->esr) {
		printf(" data ");
		for (u32 i = 0; i < len; i++)
			printf("%02x", s->buf[i]);
	} else if (!in_c && !s->esr)
		printf(" ok");
	putchar('\n');
	check(c, s->esr ? "undef" : "");
	if (!c->due || s->esr)
		return;
	n = unhex(due, c->due);
	if (n != len || memcmp(due, (const void *)s->buf, n)) {
		wrong++;
		log_line("line %d: %s %ld is not what it is entitled to: %s", c->line, c->what, c->arg[1], c->due);
	}
}

void give_up(const struct command *c, const char *format, ...)
{
	va_list list;

	gave_up = 1;
	printf("# ! %d %s: ", c->line, c->name);
	va_start(list, format);
	vprintf(format, list);
	va_end(list);
	putchar('\n');
}
