/* A disk at work, for scripts: disk SOCKET... connects to each socket as a
 * front-end does, waits until somebody listens there, writes, reads what it has
 * written, and goes. Run in a guest (scenario systemd). */
#include "front/front.h"

static void work(const char *path)
{
    struct front *f = front_connect_wait(path);
    uint64_t end;

    front_set_up(f, &(struct front_conf){.queues = 1});
    end = blk_capacity(f);
    blk_verify(f->vq[0], 0, 65536, 1);
    blk_verify(f->vq[0], end - 8, 4096, 2);
    blk_flush(f->vq[0]);
    front_free(f);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        work(argv[i]);
    return 0;
}
