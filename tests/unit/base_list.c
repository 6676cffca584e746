#include "base/list.h"
#include "check.h"

struct item {
    int number;
    struct list link;
};

static struct item items[4];
static struct list head;

static void setup(void)
{
    list_init(&head);
    for (int i = 0; i < 4; i++) {
        items[i] = (struct item){.number = i};
        list_push(&head, &items[i].link);
    }
}

/* The numbers in the list, first to last, as digits of one decimal number. */
static int numbers(void)
{
    int digits = 9;
    list_each (link, &head)
        digits = digits * 10 + list_entry(link, struct item, link)->number;
    return digits;
}

TEST("a list keeps the order in which its members were added")
{
    setup();
    EXPECT_EQ(numbers(), 90123);
}

TEST("a member may leave from the front, the middle and the end, and come back at the end")
{
    setup();
    list_remove(&items[1].link);
    EXPECT_EQ(numbers(), 9023);
    EXPECT(!list_is_linked(&items[1].link));
    list_remove(&items[0].link);
    list_remove(&items[3].link);
    EXPECT_EQ(numbers(), 92);
    list_push(&head, &items[1].link);
    EXPECT_EQ(numbers(), 921);
}

TEST("the body of list_each may remove the member it is given")
{
    setup();
    list_each (link, &head)
        if (list_entry(link, struct item, link)->number % 2 == 0) list_remove(link);
    EXPECT_EQ(numbers(), 913);
    list_each (link, &head)
        list_remove(link);
    EXPECT(list_is_empty(&head));
}

TEST("all members of a list move behind those of another, in order, or none when there is none")
{
    struct list other;
    list_init(&other);
    setup();
    list_remove(&items[0].link);
    list_push(&other, &items[0].link);
    list_move_all(&other, &head);
    EXPECT(list_is_empty(&head));
    list_move_all(&other, &head);
    list_move_all(&head, &other);
    EXPECT(list_is_empty(&other));
    EXPECT_EQ(numbers(), 90123);
    list_push(&other, list_take(&head));
    EXPECT_EQ(numbers(), 9123);
}

TEST("list_take gives the first member until the list is empty")
{
    setup();
    for (int i = 0; i < 4; i++) {
        struct list *link = list_take(&head);
        EXPECT(link == &items[i].link);
        EXPECT(!list_is_linked(&items[i].link));
    }
    EXPECT(list_is_empty(&head));
    EXPECT(list_take(&head) == nullptr);
}
