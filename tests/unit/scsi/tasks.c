#include "tasks.h"

#include <stdlib.h>

uint8_t data[65536], back[65536];
uint8_t *big;

int tasks_setup(void **state)
{
    (void)state;
    fill(data, sizeof(data), 1);
    big = calloc(1, LONG_BYTES);
    return 0;
}

int tasks_teardown(void **state)
{
    (void)state;
    free(big);
    return 0;
}

void ask_ready(struct ask *a, enum scsi_attr attr, unsigned number)
{
    ask_init(a, CDB(SCSI_TEST_UNIT_READY, 0, 0, 0, 0, 0), SCSI_NO_DATA, NULL, 0,
             0);
    a->task.attr = attr;
    a->number = number;
}

void ask_rw(struct ask *a, uint8_t opcode, uint64_t lba, void *buf, size_t len,
            unsigned number)
{
    uint8_t cdb[16] = {opcode};

    be64_put(cdb + 2, lba);
    be32_put(cdb + 10, (uint32_t)(len / 512));
    ask_init(a, cdb, 16, opcode == SCSI_READ_16 ? SCSI_DATA_IN : SCSI_DATA_OUT,
             buf, len, 0);
    a->number = number;
}

void ask_long(struct ask *a, unsigned number)
{
    ask_rw(a, SCSI_READ_16, 0, big, LONG_BYTES, number);
}

void ask_stuck(struct ask *a, unsigned number)
{
    ask_rw(a, SCSI_READ_16, 1024 + number, back, 512, number);
}

const char *tasks_order(const struct unit *u)
{
    static char text[65];
    unsigned n = MIN(u->ended, (unsigned)ARRAY_LEN(u->order));

    for (unsigned i = 0; i < n; i++)
        text[i] = (char)('0' + u->order[i]->number);
    text[n] = '\0';
    return text;
}

void tasks_wait(struct unit *u, struct ask *a, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        unit_wait(u, &a[i]);
}

struct unit *file_unit(void)
{
    struct unit *u = unit_open("'store': {'type': 'file', 'path': '@/disk'}");

    u->loop.devices = u->loop.block_devices = 2;
    assert_int_equal(unit_start(u, false), 0);
    return u;
}
