/* What the process gives up for life, before it serves: privileges that a program could gain by
 * exec, the system calls that a proxy never needs, other processes, and, where the operator names
 * folders, every other file. Listeners, log files and sockets arrive over xDS for life: sockets,
 * bind, open and threads stay. Main thread; threads that run already are held too, but not by
 * Landlock, which is why sandbox_enter() comes before the first one. */
#pragma once

#include <stdbool.h>

#include "base/check.h"
#include "base/error.h"
#include "base/stats.h"

struct sandbox_paths {
    const char **paths; /* heap array; the strings are argv's */
    unsigned n, cap;
};

struct sandbox_options {
    bool off;
    struct sandbox_paths read, write; /* files and folders; empty: files are not restricted */
};

struct sandbox_status {
    bool no_new_privs, seccomp;
    unsigned refused_calls; /* rules of the filter */
    bool domain;            /* of Landlock: other processes are out of reach */
    unsigned landlock_abi;  /* 0: files are not restricted */
};

/* Where the kernel refuses the filter or the domain (a container may), a warning is logged and the
 * process goes on. Folders that were named and cannot be had are an error. */
MUST_CHECK bool sandbox_enter(const struct sandbox_options *o, struct sandbox_status *out,
                              struct error *err);

/* xylem.sandbox.*: the gauges that say what holds. The caller drops the scope. */
struct stat_scope *sandbox_stats_new(struct stat_store *store, const struct sandbox_status *s);

/* sandbox_calls.c: the filter of system calls. False: *err says what the kernel does not have. */
MUST_CHECK bool sandbox_refuse_calls(unsigned *n_rules, struct error *err);
/* sandbox_files.c: Landlock. *abi: the kernel's version of it. */
MUST_CHECK bool sandbox_enter_domain(const struct sandbox_options *o, unsigned *abi,
                                     struct error *err);
