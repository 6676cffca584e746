/* base/list.h: a doubly linked list whose links live in the listed objects. */
#pragma once
#include <assert.h>
#include <stddef.h>

/* Both the head of a list and the link in a member. A head points at itself when empty; a link that
 * is in no list is all nullptr. */
struct list {
    struct list *next;
    struct list *previous;
};

/* The object around a member's link. */
#define list_entry(link, type, field) ((type *)((char *)(link) - offsetof(type, field)))

/* Visits each link of `head`; the body may remove `link` itself, but no other. */
#define list_each(link, head)                                                         \
    for (struct list *link = (head)->next, *link##_next = link->next; link != (head); \
         link = link##_next, link##_next = link->next)

static inline void list_init(struct list *head)
{
    head->next = head->previous = head;
}

static inline bool list_is_empty(const struct list *head)
{
    return head->next == head;
}

static inline bool list_is_linked(const struct list *link)
{
    return link->next != nullptr;
}

/* Adds at the end. */
static inline void list_push(struct list *head, struct list *link)
{
    assert(link->next == nullptr);
    link->previous = head->previous;
    link->next = head;
    head->previous->next = link;
    head->previous = link;
}

static inline void list_remove(struct list *link)
{
    assert(link->next != nullptr);
    link->previous->next = link->next;
    link->next->previous = link->previous;
    link->next = link->previous = nullptr;
}

/* Moves all members of `from` behind those of `head`, in their order. */
static inline void list_move_all(struct list *head, struct list *from)
{
    if (list_is_empty(from)) return;
    from->next->previous = head->previous;
    from->previous->next = head;
    head->previous->next = from->next;
    head->previous = from->previous;
    list_init(from);
}

/* Takes the first one out; nullptr when the list is empty. */
static inline struct list *list_take(struct list *head)
{
    if (list_is_empty(head)) return nullptr;
    struct list *link = head->next;
    head->next = link->next;
    link->next->previous = head;
    link->next = link->previous = nullptr;
    return link;
}
