#include "base/list.h"

#include "suite.h"

struct item {
    int n;
    struct list link;
};

static int number(struct list *l)
{
    return LIST_ENTRY(l, struct item, link)->n;
}

/* The numbers in order as one decimal number; both directions must agree. */
static int order(const struct list *head)
{
    int forth = 0, back = 0, unit = 1;
    for (struct list *l = head->next; l != head; l = l->next)
        forth = forth * 10 + number(l);
    for (struct list *l = head->prev; l != head; l = l->prev, unit *= 10)
        back += number(l) * unit;
    ck_assert_int_eq(forth, back);
    return forth;
}

START_TEST(push_pop_remove)
{
    struct list head = LIST_INIT(head);
    struct item items[5];
    ck_assert(list_empty(&head));
    ck_assert_ptr_null(list_first(&head));
    ck_assert_ptr_null(list_last(&head));
    ck_assert_ptr_null(list_pop_front(&head));
    for (int i = 0; i < 5; i++) {
        items[i].n = i + 1;
        list_init(&items[i].link);
    }
    list_push_back(&head, &items[1].link);
    list_push_back(&head, &items[2].link);
    list_push_front(&head, &items[0].link);
    list_insert_before(&items[2].link, &items[4].link);
    ck_assert_int_eq(order(&head), 1253);
    list_remove(&items[4].link);
    list_remove(&items[4].link); /* twice is harmless */
    ck_assert(list_empty(&items[4].link));
    ck_assert_int_eq(order(&head), 123);
    ck_assert_int_eq(number(list_first(&head)), 1);
    ck_assert_int_eq(number(list_last(&head)), 3);
    ck_assert_int_eq(number(list_pop_front(&head)), 1);
    ck_assert_int_eq(order(&head), 23);
}
END_TEST

START_TEST(remove_while_walking)
{
    struct list head = LIST_INIT(head);
    struct item items[6];
    for (int i = 0; i < 6; i++) {
        items[i].n = i + 1;
        list_push_back(&head, &items[i].link);
    }
    LIST_EACH(it, &head)
    {
        if (number(it) % 2)
            list_remove(it);
    }
    ck_assert_int_eq(order(&head), 246);
    LIST_EACH(it, &head)
    list_remove(it);
    ck_assert(list_empty(&head));
}
END_TEST

START_TEST(splice_moves_all)
{
    struct list a = LIST_INIT(a), b = LIST_INIT(b);
    struct item items[4];
    for (int i = 0; i < 4; i++) {
        items[i].n = i + 1;
        list_push_back(i < 2 ? &a : &b, &items[i].link);
    }
    list_splice(&a, &b);
    ck_assert_int_eq(order(&a), 1234);
    ck_assert(list_empty(&b));
    list_splice(&a, &b);
    ck_assert_int_eq(order(&a), 1234);
    list_splice(&b, &a);
    ck_assert_int_eq(order(&b), 1234);
    ck_assert(list_empty(&a));
}
END_TEST

SUITE("list", push_pop_remove, remove_while_walking, splice_moves_all)
