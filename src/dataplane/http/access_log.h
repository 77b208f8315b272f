/* Turns a finished stream into access log lines and hands them to the worker's buffer. Worker
 * thread. */
#pragma once

struct stream;

/* Every access log of the stream's connection manager whose filter passes. */
void access_log_stream(struct stream *s);
