#include "dataplane/net/loop.h"

#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "dataplane/net/loop_core.h"
#include "support.h"

static struct fixture f;
static struct strbuf trace;

static void setup(void)
{
    fixture_init(&f);
    trace = (struct strbuf)STRBUF_INIT;
}

static void teardown(void)
{
    fixture_fini(&f);
    strbuf_fini(&trace);
}

static void mark_timer(struct timer *t)
{
    strbuf_add_str(&trace, t->owner);
}

START_TEST(timers_fire_in_order)
{
    struct timer a, b, c, never;

    timer_init(&a, f.loop, mark_timer, "a");
    timer_init(&b, f.loop, mark_timer, "b");
    timer_init(&c, f.loop, mark_timer, "c");
    timer_init(&never, f.loop, mark_timer, "!");
    timer_start(&c, 15);
    timer_start(&b, 8);
    timer_start(&a, 3);
    timer_start(&never, 5);
    ck_assert(timer_pending(&never));
    timer_stop(&never);
    ck_assert(!timer_pending(&never));
    RUN_UNTIL(&f, !timer_pending(&c));
    ck_assert_str_eq(trace.data, "abc");
}
END_TEST

/* Where it stands in the queue. */
static uint64_t key_of(const struct timer *t)
{
    return ((const struct loop_core *)(const void *)t->loop)->front.heap[t->pos - 1].key_ns;
}

START_TEST(later_is_lazy)
{
    struct timer t;
    uint64_t begin = clock_real.monotonic_ns(&clock_real);

    timer_init(&t, f.loop, mark_timer, "t");
    timer_start(&t, 5);
    uint64_t key = key_of(&t);
    timer_start(&t, 40);
    ck_assert_uint_eq(key_of(&t), key); /* the queue was not touched */
    RUN_UNTIL(&f, !timer_pending(&t));
    ck_assert_uint_ge(clock_real.monotonic_ns(&clock_real) - begin, 39 * NS_PER_MS);
    /* Earlier moves it at once */
    timer_start(&t, 60000);
    timer_start(&t, 2);
    ck_assert_uint_eq(key_of(&t), t.expires_ns);
    RUN_UNTIL(&f, !timer_pending(&t));
    ck_assert_str_eq(trace.data, "tt");
}
END_TEST

START_TEST(rest_keeps_the_place)
{
    struct timer t, end;

    timer_init(&t, f.loop, mark_timer, "t");
    timer_init(&end, f.loop, mark_timer, "e");
    timer_start(&t, 2);
    timer_rest(&t);
    ck_assert(!timer_pending(&t));
    timer_start(&end, 10);
    RUN_UNTIL(&f, !timer_pending(&end));
    ck_assert_str_eq(trace.data, "e"); /* it did not fire, and its time has passed */
    ck_assert_uint_eq(t.pos, 0);
    timer_start(&t, 20);
    uint64_t key = key_of(&t);
    timer_rest(&t);
    timer_start(&t, 30);
    ck_assert_uint_eq(key_of(&t), key);
    timer_rest(&t);
    timer_start(&t, 1);
    ck_assert_uint_eq(key_of(&t), t.expires_ns);
    RUN_UNTIL(&f, !timer_pending(&t));
    ck_assert_str_eq(trace.data, "et");
    timer_start(&t, 1);
    timer_rest(&t);
    timer_stop(&t); /* the memory goes */
    ck_assert_uint_eq(t.pos, 0);
}
END_TEST

enum { MANY = 500 };
static struct timer many[MANY];
static uint64_t last_ns;
static unsigned fired;

static void check_order(struct timer *t)
{
    uint64_t *due = t->owner;

    ck_assert_uint_ge(*due, last_ns);
    last_ns = *due;
    fired++;
}

START_TEST(many_timers_keep_order)
{
    static uint64_t due[MANY];
    unsigned expected = 0;

    last_ns = fired = 0;
    srand(3);
    for (int i = 0; i < MANY; i++) {
        timer_init(&many[i], f.loop, check_order, &due[i]);
        for (int again = rand() % 3; again >= 0; again--)
            timer_start_ns(&many[i], (uint64_t)(rand() % 20000) * 1000 + 1);
        due[i] = many[i].expires_ns;
    }
    for (int i = 0; i < MANY; i++) {
        if (i % 5 == 0)
            timer_stop(&many[i]);
        else
            expected++;
    }
    RUN_UNTIL(&f, fired == expected);
}
END_TEST

static struct defer d1, d2, reap;

static void mark_defer(struct defer *d)
{
    strbuf_add_str(&trace, d->owner);
    if (d == &d1)
        defer_schedule(&d2);
}

START_TEST(defers_then_reaper)
{
    defer_init(&reap, f.loop, DEFER_REAP, mark_defer, "R");
    defer_init(&d1, f.loop, DEFER_FLUSH, mark_defer, "1");
    defer_init(&d2, f.loop, DEFER_FLUSH, mark_defer, "2");
    defer_schedule(&reap);
    defer_schedule(&d1);
    defer_schedule(&d1); /* once */
    loop_turn(f.loop, false);
    ck_assert_str_eq(trace.data, "12R");
    defer_schedule(&d2);
    defer_cancel(&d2);
    loop_turn(f.loop, false);
    ck_assert_str_eq(trace.data, "12R");
}
END_TEST

static unsigned spins;

static void spin(struct defer *d)
{
    if (++spins < 1000)
        defer_schedule(d);
}

START_TEST(endless_defers_do_not_stop_the_loop)
{
    struct defer d;
    struct timer t;

    spins = 0;
    defer_init(&d, f.loop, DEFER_FLUSH, spin, NULL);
    timer_init(&t, f.loop, mark_timer, "t");
    defer_schedule(&d);
    loop_turn(f.loop, false);
    ck_assert_uint_lt(spins, 1000); /* bounded */
    RUN_UNTIL(&f, spins == 1000);   /* and not asleep */
}
END_TEST

static void mark_io(struct io_watch *w, unsigned events)
{
    char c;

    strbuf_printf(&trace, "%s%s", events & IO_READ ? "r" : "", events & IO_WRITE ? "w" : "");
    if (events & IO_READ)
        (void)!read(w->fd, &c, 1);
    if (events & IO_WRITE)
        io_watch_set(w, IO_READ);
}

START_TEST(io_watches)
{
    struct io_watch w;
    int fds[2];

    socket_pair(fds);
    io_watch_init(&w, f.loop, fds[0], mark_io, NULL);
    io_watch_set(&w, IO_READ);
    settle_loop(&f);
    ck_assert_str_eq(strbuf_str(&trace), "");
    ck_assert_int_eq(write(fds[1], "xy", 2), 2);
    settle_loop(&f);
    ck_assert_str_eq(strbuf_str(&trace), "rr"); /* level-triggered */
    io_watch_set(&w, 0);
    ck_assert_int_eq(write(fds[1], "z", 1), 1);
    settle_loop(&f);
    ck_assert_str_eq(strbuf_str(&trace), "rr");
    io_watch_set(&w, IO_READ | IO_WRITE);
    settle_loop(&f);
    ck_assert_str_eq(strbuf_str(&trace), "rrrw");
    io_watch_stop(&w);
    close(fds[0]);
    close(fds[1]);
}
END_TEST

enum { SENDERS = 4, POSTS = 2000 };

struct numbered {
    struct post post;
    unsigned sender, number;
};

static struct numbered posts[SENDERS][POSTS];
static unsigned next_number[SENDERS], received;

static void on_number(struct post *p)
{
    struct numbered *n = CONTAINER_OF(p, struct numbered, post);

    ck_assert_uint_eq(n->number, next_number[n->sender]++);
    received++;
}

static void *sender(void *arg)
{
    unsigned s = *(unsigned *)arg;

    for (unsigned i = 0; i < POSTS; i++)
        ck_assert(loop_post(f.loop, &posts[s][i].post));
    return NULL;
}

START_TEST(mailbox_is_first_in_first_out)
{
    pthread_t threads[SENDERS];
    unsigned ids[SENDERS];

    received = 0;
    for (unsigned s = 0; s < SENDERS; s++) {
        ids[s] = s;
        next_number[s] = 0;
        for (unsigned i = 0; i < POSTS; i++) {
            posts[s][i].sender = s;
            posts[s][i].number = i;
            post_init(&posts[s][i].post, on_number, NULL);
        }
        pthread_create(&threads[s], NULL, sender, &ids[s]);
    }
    RUN_UNTIL(&f, received == SENDERS * POSTS);
    for (unsigned s = 0; s < SENDERS; s++)
        pthread_join(threads[s], NULL);
}
END_TEST

static void mark_post(struct post *p)
{
    strbuf_add_str(&trace, "p");
    if (trace.len < 3)
        ck_assert(loop_post(f.loop, p));
}

START_TEST(a_post_waits_once)
{
    struct post p;

    post_init(&p, mark_post, NULL);
    ck_assert(loop_post(f.loop, &p));
    ck_assert(!loop_post(f.loop, &p));
    RUN_UNTIL(&f, trace.len == 3);
    settle_loop(&f);
    ck_assert_str_eq(trace.data, "ppp");
}
END_TEST

static void *stopper(void *arg)
{
    loop_post(f.loop, arg);
    return NULL;
}

static void stop(struct post *p)
{
    loop_stop(f.loop);
}

START_TEST(run_until_stopped_from_elsewhere)
{
    pthread_t thread;
    struct post p;

    post_init(&p, stop, NULL);
    pthread_create(&thread, NULL, stopper, &p);
    loop_run(f.loop);
    pthread_join(thread, NULL);
}
END_TEST

static void mark_signal(struct signal_watch *w)
{
    strbuf_printf(&trace, "s%d", w->signo);
}

START_TEST(signals)
{
    struct signal_watch w;

    signal_watch_init(&w, f.loop, SIGUSR1, mark_signal, NULL);
    raise(SIGUSR1);
    RUN_UNTIL(&f, trace.len > 0);
    signal_watch_stop(&w);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("loop");
    TCase *t = tcase_create("loop");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, timers_fire_in_order);
    tcase_add_test(t, later_is_lazy);
    tcase_add_test(t, rest_keeps_the_place);
    tcase_add_test(t, many_timers_keep_order);
    tcase_add_test(t, defers_then_reaper);
    tcase_add_test(t, endless_defers_do_not_stop_the_loop);
    tcase_add_test(t, io_watches);
    tcase_add_test(t, mailbox_is_first_in_first_out);
    tcase_add_test(t, a_post_waits_once);
    tcase_add_test(t, run_until_stopped_from_elsewhere);
    tcase_add_test(t, signals);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
