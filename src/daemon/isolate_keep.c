/* One message for each item, with its descriptor if there is one: without, it
 * was dropped. The keeper maps nothing of it, and does not look into it: it
 * holds the descriptors, so that memory outlives the process, and gives them to
 * the next one, which checks them (os/keep.h). It holds no more of them than
 * the device has a use for, and none that is not memory: what else a process
 * might have may take for ever to close. A message without names says that all
 * has been given. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/isolate_impl.h"
#include "os/closer.h"
#include "os/sock.h"

struct message {
    char id[KEEP_NAME_MAX + 1], name[KEEP_NAME_MAX + 1];
    uint64_t len;
};

static int send_item(int sock, const struct keep_item *item)
{
    struct message m = {.len = item->len};
    ssize_t n;

    memcpy(m.id, item->id, sizeof(m.id));
    memcpy(m.name, item->name, sizeof(m.name));
    n = sock_send(sock, &m, sizeof(m), &item->fd, item->fd >= 0);
    return n < 0 ? (int)n : 0;
}

/* 1: one has come, whose fd is the caller's; 0: none comes any more. */
static int receive_item(int sock, struct keep_item *item)
{
    int fds[SOCK_FDS_ROOM];
    unsigned num = 0;
    struct message m;
    ssize_t n = sock_recv(sock, &m, sizeof(m), fds, &num);

    *item = (struct keep_item){.fd = -1};
    if (n == (ssize_t)sizeof(m) && num <= 1 &&
        strnlen(m.id, sizeof(m.id)) < sizeof(m.id) &&
        strnlen(m.name, sizeof(m.name)) < sizeof(m.name)) {
        memcpy(item->id, m.id, sizeof(m.id));
        memcpy(item->name, m.name, sizeof(m.name));
        item->len = m.len;
        item->fd = num ? fds[0] : -1;
        return 1;
    }
    while (num > 0)
        closer_stray(fds[--num]);
    return n < 0 ? (int)n : n == 0 ? 0 : -EPROTO;
}

/* ---- the keeper ---- */

static void no_idle(void *arg)
{
    (void)arg;
}

int isolate_kept_open(struct isolate_kept *k, const char *id, unsigned most)
{
    k->id = id;
    k->most = most;
    k->closer = closer_new(no_idle, NULL);
    return k->closer ? 0 : -ENOMEM;
}

static void drop(struct isolate_kept *k, unsigned at)
{
    closer_fd(k->closer, k->items[at].fd);
    k->items[at] = k->items[--k->count];
}

void isolate_kept_close(struct isolate_kept *k)
{
    while (k->closer && k->count)
        drop(k, 0);
    closer_free(k->closer);
    k->closer = NULL;
    free(k->items);
    k->items = NULL;
    k->room = 0;
}

int isolate_kept_give(const struct isolate_kept *k, int sock, unsigned *given)
{
    const struct keep_item end = {.fd = -1};
    int rc = 0;

    while (*given <= k->count && rc == 0) {
        rc = send_item(sock, *given < k->count ? &k->items[*given] : &end);
        *given += rc == 0;
    }
    return rc;
}

static bool make_room(struct isolate_kept *k)
{
    unsigned room = MIN(k->room ? 2 * k->room : 16, k->most);
    struct keep_item *items;

    if (k->count < k->room)
        return true;
    if (k->count == k->most)
        return false;
    items = realloc(k->items, room * sizeof(*items));
    if (!items)
        return false;
    k->items = items;
    k->room = room;
    return true;
}

void isolate_kept_add(struct isolate_kept *k, const struct keep_item *item)
{
    unsigned at = 0;

    while (at < k->count && strcmp(k->items[at].name, item->name) != 0)
        at++;
    if (at < k->count)
        drop(k, at);
    if (item->fd < 0)
        return;
    if (make_room(k)) {
        k->items[k->count++] = *item;
        return;
    }
    if (!k->told_full)
        log_warn(k->id,
                 "its process keeps more than %u pieces of memory, which is "
                 "more than such a device has a use for",
                 k->most);
    k->told_full = true;
    closer_fd(k->closer, item->fd);
}

int isolate_kept_take(struct isolate_kept *k, struct keep_item **items)
{
    int count = (int)k->count;

    *items = k->items;
    k->items = NULL;
    k->count = k->room = 0;
    return count;
}

/* The process may say more, all the time: others have their turns. */
int isolate_kept_hear(struct isolate_kept *k, int sock, unsigned most)
{
    struct keep_item item;
    int rc = 1;

    while (rc > 0 && most-- > 0) {
        rc = receive_item(sock, &item);
        if (rc <= 0)
            break;
        if (strcmp(item.id, k->id) == 0 && item.name[0] &&
            (item.fd < 0 || keep_is_memory(item.fd, item.len))) {
            isolate_kept_add(k, &item);
            continue;
        }
        closer_stray(item.fd);
        rc = -EPROTO;
    }
    return rc > 0 ? -EAGAIN : rc;
}

/* ---- the process ---- */

/* The keeper reads, sooner or later, or has gone: then this process goes too.
 */
static void tell(const struct keep_item *item, void *arg)
{
    int sock = (int)(intptr_t)arg;

    while (send_item(sock, item) == -EAGAIN)
        if (sock_wait(sock, true, -1) < 0)
            continue;
}

int isolate_keep_begin(int sock)
{
    struct keep_item item;
    int rc;

    for (;;) {
        rc = receive_item(sock, &item);
        if (rc == -EAGAIN) {
            sock_wait(sock, false, -1);
            continue;
        }
        if (rc <= 0)
            return rc < 0 ? rc : -EPIPE;
        if (!item.id[0])
            break;
        keep_put(&item);
    }
    keep_on_change(tell, (void *)(intptr_t)sock);
    return 0;
}
