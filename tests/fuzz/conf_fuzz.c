/* The config reader, with the program's own tables. The input is a document
 * and, behind a byte 0xff (which no document has), values for --set, one a
 * line.
 *
 * Held: what the scanner lets pass, cJSON reads; a failure has at least one
 * error, each with a sentence, and leaves no document; a success has none,
 * and what it gives keeps the promises of the tables; the same text read again
 * comes out the same; whatever happens, nothing leaks. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "conf/json.h"
#include "conf/scan.h"
#include "conf/text.h"
#include "daemon/config.h"
#include "fuzz.h"

#define SETS_MAX 16

static void check_errors(const struct errs *e)
{
    for (int i = 0; i < e->count; i++) {
        assert(e->list[i].code < 0);
        assert(e->list[i].text[0]);
        assert(memchr(e->list[i].where, '\0', sizeof(e->list[i].where)));
        assert(memchr(e->list[i].text, '\0', sizeof(e->list[i].text)));
    }
}

static void check_config(const struct config *c)
{
    assert(c->log.level <= LOG_DEBUG && c->log.format <= LOG_JSON);
    assert(!c->runtime_dir || c->runtime_dir[0] == '/');
    assert(c->devices.count >= 1);
    for (int i = 0; i < c->devices.count; i++) {
        const struct conf_any *any = &c->devices.list[i];
        const struct device_common *d = any->data;
        unsigned queues = device_type_of(any)->queues(any->data);

        assert(any->at[0] == '/');
        assert(d->id[0] && strlen(d->id) <= 64);
        assert(d->queue_size >= 1 && d->queue_size <= RING_SIZE_MAX);
        assert(d->socket.mode <= 0777);
        assert(queues >= 1 && queues <= DEVICE_MAX_QUEUES);
        for (int j = 0; j < d->worker.count; j++)
            assert(d->worker.list[j][0]);
        for (int j = 0; j < i; j++)
            assert(strcmp(d->id, config_device(c, j)->id) != 0);
    }
}

static int read_once(const char *text, size_t len, const char *const *sets)
{
    struct errs e = ERRS_EMPTY;
    struct conf_doc *doc = NULL;
    void *config = NULL;
    int rc, count;

    rc = conf_read_text(&doc, &config, &config_table, text, len, "/dir", sets,
                        &e);
    assert((rc == 0) == (e.count == 0));
    assert((rc == 0) == (doc != NULL));
    check_errors(&e);
    if (rc == 0)
        check_config(config);
    count = e.count;
    errs_free(&e);
    conf_free(doc);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = memchr(data, 0xff, size);
    size_t len = end ? (size_t)(end - data) : size;
    const char *sets[SETS_MAX + 1] = {NULL};
    char *text = malloc(len + 1), *rest = malloc(size - len + 1), *next;
    struct json *tree;
    struct err why;
    uint64_t bytes;
    int num_sets = 0;

    if (!text || !rest)
        abort();
    memcpy(text, data, len);
    text[len] = '\0';
    memcpy(rest, data + len, size - len);
    rest[size - len] = '\0';

    tree = json_parse(text, len, &why);
    assert((scan_json(text, len, NULL) == 0) == (tree != NULL));
    json_free(tree);
    conf_parse_size(text, &bytes);

    next = size > len ? rest + 1 : NULL;
    while (next && *next && num_sets < SETS_MAX)
        sets[num_sets++] = strsep(&next, "\n");
    assert(read_once(text, len, sets) == read_once(text, len, sets));
    free(text);
    free(rest);
    return 0;
}
