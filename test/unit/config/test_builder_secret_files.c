/* Secrets that lie in files: which changes are seen, and what is not whole yet. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/builder.h"
#include "config_fixture.h"
#include "secret_yaml.h"
#include "tls_fixture.h"

static struct fixture f;

static void setup(void)
{
    fixture_init(&f);
    fake_tls_made = 0;
}

static void teardown(void)
{
    fixture_fini(&f);
    ck_assert_uint_eq(fake_tls_live, 0);
}

#define PAIR(chain, key)                                                                           \
    "{name: one, tls_certificate: {certificate_chain: {inline_string: cert-" chain                 \
    "}, private_key: {inline_string: key-" key "}}}"
#define CERT(n) PAIR(n, n)
#define UNFIT PAIR("1", "2")
#define UP_STATS "cluster.up.client_ssl_socket_factory"

static void expect(const char *text, const char *expected)
{
    ck_assert_str_eq(text, expected);
}

static const char *secret(const char *yaml)
{
    return fixture_update(&f, RESOURCE_SECRET, "one", yaml);
}

static const char *sent(void)
{
    struct cluster_entry *e = fixture_cluster(&f, "up");
    ck_assert_ptr_nonnull(e);
    return fake_tls_text(e->tls);
}

static char folder[40];

static void put_file(const char *name, const char *text)
{
    fixture_put_file(folder, name, text);
}

static void remove_files(void)
{
    static const char *const names[] = {"chain", "key", "chain2", "key2"};
    char path[100];
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

START_TEST(files_of_a_secret_are_watched)
{
    char yaml[400];
    strcpy(folder, "/tmp/builder_secret_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    put_file("chain", "cert-1");
    put_file("key", "key-1");
    snprintf(yaml, sizeof(yaml),
             "{name: one, tls_certificate: {certificate_chain: {filename: %s/chain}, private_key: "
             "{filename: %s/key}}}",
             folder, folder);
    fixture_start(&f);
    fixture_update(&f, RESOURCE_CLUSTER, "up", CLUSTER("up", CERT_SDS("one")));
    expect(secret(yaml), "");
    expect(sent(), "client cert-1");
    fixture_log(&f);
    /* a touch that changes nothing makes nothing */
    unsigned made = fake_tls_made;
    ck_assert(fixture_touch(&f, folder));
    ck_assert(fixture_expire(&f));
    ck_assert_uint_eq(fake_tls_made, made);
    expect(fixture_log(&f), "");
    /* half a pair: the last good one serves */
    put_file("chain", "cert-2");
    fixture_touch(&f, folder);
    fixture_touch(&f, folder);
    ck_assert(fixture_expire(&f));
    ck_assert(!fixture_expire(&f));
    expect(sent(), "client cert-1");
    ck_assert_int_eq(fixture_stat(&f, "sds.one.key_rotation_failed"), 1);
    ck_assert_ptr_nonnull(
        strstr(fixture_log(&f), "not reloaded one: cluster 'up': Failed to load"));
    put_file("key", "key-2");
    fixture_touch(&f, folder);
    fixture_expire(&f);
    expect(sent(), "client cert-2");
    expect(fixture_log(&f), "publish 2;");
    /* a secret without files is not watched for any */
    fixture_touch(&f, folder);
    expect(secret(CERT("3")), "");
    ck_assert(!fixture_touch(&f, folder));
    ck_assert(!fixture_expire(&f));
    remove_files();
}
END_TEST

/* A secret whose certificate and key lie in `folder`, under these names. */
static const char *of_files(const char *chain, const char *key)
{
    return arena_printf(f.arena,
                        "{name: one, tls_certificate: {certificate_chain: {filename: %s/%s}, "
                        "private_key: {filename: %s/%s}}}",
                        folder, chain, folder, key);
}

static void make_folder(void)
{
    strcpy(folder, "/tmp/builder_secret_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    fixture_start(&f);
    fixture_update(&f, RESOURCE_CLUSTER, "up", CLUSTER("up", CERT_SDS("one")));
}

/* A change is seen, and read once. */
static void touch(void)
{
    ck_assert(fixture_touch(&f, folder));
    ck_assert(fixture_expire(&f));
    ck_assert(!fixture_expire(&f));
}

static int64_t failed_readings(void)
{
    return fixture_stat(&f, "sds.one.key_rotation_failed");
}

START_TEST(files_of_a_secret_may_come_later)
{
    make_folder();
    ck_assert_ptr_nonnull(
        strstr(secret(of_files("chain", "key")), "Failed to load incomplete certificate from "));
    fixture_log(&f);
    touch(); /* nothing has come: what was refused already is no news */
    ck_assert_int_eq(failed_readings(), 0);
    expect(fixture_log(&f), "");
    put_file("chain", "cert-1");
    touch();
    ck_assert_int_eq(failed_readings(), 1);
    ck_assert_ptr_nonnull(strstr(fixture_log(&f), "not reloaded one: Failed to load incomplete "
                                                  "private key from path: "));
    put_file("key", "key-1");
    touch();
    expect(sent(), "client cert-1");
    ck_assert_int_eq(failed_readings(), 1);
    ck_assert_int_eq(fixture_stat(&f, "sds.one.update_rejected"), 1);
    ck_assert_int_eq(fixture_stat(&f, "sds.one.update_success"), 0);
    ck_assert_int_eq(fixture_stat(&f, UP_STATS ".ssl_context_update_by_sds"), 1);
    ck_assert_ptr_null(
        store_find(builder_store(f.builder), &f.ads, RESOURCE_SECRET, BYTES("one"))->rejected);
    /* from now on as any other */
    put_file("chain", "cert-2");
    put_file("key", "key-2");
    touch();
    expect(sent(), "client cert-2");
    remove_files();
}
END_TEST

START_TEST(a_key_may_come_later_elsewhere)
{
    char elsewhere[] = "/tmp/builder_secret_XXXXXX", path[60];
    ck_assert_ptr_nonnull(mkdtemp(elsewhere));
    snprintf(path, sizeof(path), "../%s/key", elsewhere + strlen("/tmp/"));
    make_folder();
    secret(of_files("chain", path));
    put_file("chain", "cert-1");
    ck_assert(fixture_touch(&f, folder));
    ck_assert(fixture_expire(&f));
    /* only now it is known where the key is looked for; it may have come meanwhile */
    put_file(path, "key-1");
    ck_assert(fixture_expire(&f));
    expect(sent(), "client cert-1");
    snprintf(path, sizeof(path), "%s/key", elsewhere);
    unlink(path);
    rmdir(elsewhere);
    remove_files();
}
END_TEST

START_TEST(a_folder_that_was_not_there_is_watched_later)
{
    char sub[60];
    make_folder();
    f.no_folder = "/sub";
    put_file("chain", "cert-1");
    secret(of_files("chain", "sub/key"));
    snprintf(sub, sizeof(sub), "%s/sub", folder);
    ck_assert_int_eq(mkdir(sub, 0755), 0);
    put_file("sub/key", "key-1");
    f.no_folder = NULL;
    ck_assert(fixture_touch(&f, folder));
    while (fixture_expire(&f))
        ;
    expect(sent(), "client cert-1");
    ck_assert(fixture_touch(&f, sub));
    snprintf(sub, sizeof(sub), "%s/sub/key", folder);
    unlink(sub);
    snprintf(sub, sizeof(sub), "%s/sub", folder);
    rmdir(sub);
    remove_files();
}
END_TEST

START_TEST(what_comes_before_the_folder_is_watched_is_seen)
{
    make_folder();
    secret(of_files("chain", "key"));
    put_file("chain", "cert-1");
    put_file("key", "key-1");
    ck_assert(fixture_expire(&f));
    expect(sent(), "client cert-1");
    remove_files();
}
END_TEST

START_TEST(a_pair_that_does_not_fit_may_fit_later)
{
    make_folder();
    put_file("chain", "cert-1");
    put_file("key", "key-2");
    ck_assert_str_ne(secret(of_files("chain", "key")), "");
    touch();
    ck_assert_int_eq(failed_readings(), 0);
    put_file("key", "key-1");
    touch();
    expect(sent(), "client cert-1");
    remove_files();
}
END_TEST

/* The last good version serves, and is kept up, until the files of the newer one are there. */
START_TEST(a_newer_version_waits_for_its_files)
{
    make_folder();
    put_file("chain", "cert-1");
    put_file("key", "key-1");
    expect(secret(of_files("chain", "key")), "");
    ck_assert(fixture_expire(&f));
    ck_assert_str_ne(secret(of_files("chain2", "key2")), "");
    ck_assert(fixture_expire(&f));
    put_file("chain", "cert-3");
    put_file("key", "key-3");
    fixture_touch(&f, folder);
    ck_assert(fixture_expire(&f) && fixture_expire(&f));
    expect(sent(), "client cert-3");
    put_file("chain2", "cert-4");
    put_file("key2", "key-4");
    fixture_touch(&f, folder);
    ck_assert(fixture_expire(&f));
    fixture_expire(&f);
    expect(sent(), "client cert-4");
    put_file("chain", "cert-5");
    put_file("key", "key-5");
    touch(); /* by one watch */
    expect(sent(), "client cert-4");
    remove_files();
}
END_TEST

/* Something newer ends the wait: the good version again, another one, a refused one, none, nobody
 * who names it. */
START_TEST(a_refused_version_is_forgotten)
{
    struct bytes one = BYTES("one");
    const char *none[] = {NULL};
    struct update_result r;
    make_folder();
    expect(secret(CERT("1")), "");
    for (unsigned i = 0; i < 5; i++) {
        ck_assert_str_ne(secret(of_files("chain", "key")), "");
        ck_assert(fixture_touch(&f, folder));
        if (i == 0)
            expect(secret(CERT("1")), "");
        else if (i == 1)
            expect(secret(CERT("2")), "");
        else if (i == 2)
            ck_assert_str_ne(secret(UNFIT), "");
        else if (i == 3)
            config_update(f.builder, &f.ads, RESOURCE_SECRET, NULL, 0, &one, 1, false, BYTES("v"),
                          &r);
        else
            fixture_full(&f, RESOURCE_CLUSTER, none);
        ck_assert(!fixture_expire(&f));
        ck_assert(!fixture_touch(&f, folder));
    }
    remove_files();
}
END_TEST

START_TEST(a_refused_version_ends_with_the_process)
{
    make_folder();
    ck_assert_str_ne(secret(of_files("chain", "key")), "");
    ck_assert(fixture_touch(&f, folder));
    remove_files();
}
END_TEST

START_TEST(a_changed_cluster_reads_its_own_files_again)
{
    char yaml[600], again[700];
    strcpy(folder, "/tmp/builder_secret_XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    put_file("chain", "cert-1");
    put_file("key", "key-1");
    snprintf(yaml, sizeof(yaml),
             UP("tls_certificates: [{certificate_chain: {filename: %s/chain}, private_key: "
                "{filename: %s/key}}]"),
             folder, folder);
    fixture_start(&f);
    snprintf(again, sizeof(again), "{name: up, %s}", yaml);
    expect(fixture_update(&f, RESOURCE_CLUSTER, "up", again), "");
    expect(sent(), "client cert-1");
    put_file("chain", "cert-2");
    put_file("key", "key-2");
    snprintf(again, sizeof(again), "{name: up, connect_timeout: 3s, %s}", yaml);
    expect(fixture_update(&f, RESOURCE_CLUSTER, "up", again), "");
    expect(sent(), "client cert-2");
    remove_files();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("builder_secret_files");
    TCase *t = tcase_create("builder_secret_files");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, files_of_a_secret_are_watched);
    tcase_add_test(t, files_of_a_secret_may_come_later);
    tcase_add_test(t, a_key_may_come_later_elsewhere);
    tcase_add_test(t, a_folder_that_was_not_there_is_watched_later);
    tcase_add_test(t, what_comes_before_the_folder_is_watched_is_seen);
    tcase_add_test(t, a_pair_that_does_not_fit_may_fit_later);
    tcase_add_test(t, a_newer_version_waits_for_its_files);
    tcase_add_test(t, a_refused_version_is_forgotten);
    tcase_add_test(t, a_refused_version_ends_with_the_process);
    tcase_add_test(t, a_changed_cluster_reads_its_own_files_again);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
