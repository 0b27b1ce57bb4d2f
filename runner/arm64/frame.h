/* SPDX-License-Identifier: GPL-2.0-only */
/* Signal frames of a task, as another process changes them. Each returns NULL, or what is wrong. */
#ifndef FRAME_H
#define FRAME_H

#include "shared.h"

const char *frame_write_v(int pid, u64 frame, int n, const char *hex);
/* `fpsimd`: without its SVE record; `streaming`, `sve`: the record made one of that mode, for a
 * vector length; `empty`: a streaming one without registers. */
const char *frame_forge(int pid, u64 frame, const char *what, u32 vl);
#endif
