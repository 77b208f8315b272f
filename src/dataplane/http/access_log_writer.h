/* Access log lines on their way to files, off the workers. A worker appends lines to a block of its
 * own; a full block or one whose time has come (the flush interval) is handed to one writer thread,
 * which alone writes and reopens files. A worker never waits for a disk: when a file has too
 * much waiting, lines are dropped and counted.
 *
 *   worker: access_log_write ─► block ─(full, timer)─► queue ─► writer thread ─► write(2)
 *
 * struct access_log_writer: one a process, made by main before the workers, freed after them (what
 * waits is written first). struct access_log_buffer: one a worker, that worker's thread only; made
 * by http_worker_init(). */
#pragma once

#include "config/access_log.h"
#include "dataplane/net/loop.h"

struct access_log_buffer;
struct access_log_writer;

struct access_log_counts {
    uint64_t lines, dropped_lines, blocks_written, write_failures, open_failures, reopens;
    uint64_t flushed_by_timer, waiting_bytes;
};

/* flush_ms: how long a line may wait in a worker. flush_bytes: how many bytes are collected before
 * they are written earlier, at most a block. With 0 of either no line waits. */
struct access_log_writer *access_log_writer_new(uint64_t flush_ms, size_t flush_bytes);
/* Starts the thread: once, before the first line. Apart from new(), since what restricts a thread
 * (the sandbox) must be in force before it is made. */
void access_log_writer_start(struct access_log_writer *s);
void access_log_writer_free(struct access_log_writer **s);
/* The files of the logs in the configuration, open from when they are taken until nothing names
 * them and all is written. Given back before the writer is freed. */
const struct log_files *access_log_writer_files(struct access_log_writer *s);
/* Opens all of them once more, before the thread starts: by what the process may open by then. */
MUST_CHECK bool access_log_writer_try_again(struct access_log_writer *s, struct error *err);
/* After a rotation (SIGUSR1): the thread opens files anew, at once; into one that cannot be opened
 * now, lines go on as before, and each block tries again. Any thread. */
void access_log_writer_reopen(struct access_log_writer *s);
/* Waits until all blocks handed over so far are written. Tests and shutdown; never a worker. */
void access_log_writer_sync(struct access_log_writer *s);
struct access_log_counts access_log_writer_counts(struct access_log_writer *s);

struct access_log_buffer *access_log_buffer_new(struct access_log_writer *s, struct loop *loop);
void access_log_buffer_free(struct access_log_buffer **w); /* hands over what it holds */
/* line: complete, with its newline. */
void access_log_write(struct access_log_buffer *w, const struct access_log *log, struct bytes line);
void access_log_buffer_flush(struct access_log_buffer *w);
