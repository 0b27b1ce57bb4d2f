/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef MACHINE_H
#define MACHINE_H

/* Why this machine is not the one of a trace (`sve 16 64`, `sme 16 64`, `fpmr` ..., or `no sve`),
 * NULL if it is. */
const char *lacking(const char *asked);
#endif
