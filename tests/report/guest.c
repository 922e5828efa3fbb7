/* guest: a guest and its VMM in a few lines, for scenarios that are run for
 * their reports: a disk and a screen, by the sockets in $VUB_DISK and
 * $VUB_SCREEN, that do what lines of standard input say:
 *
 *   draw N   shows picture N
 *   read N   reads sector N: "read N: 0" is its status
 *   end      ends
 *
 * It says "ready" first, on a console with colors. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "front/front.h"
#include "front/gpu.h"

#define WIDTH 320u
#define HEIGHT 200u

static struct front *connect_to(const char *variable, unsigned queues)
{
    const char *path = getenv(variable);
    struct front *f;

    if (!path)
        front_fail("there is no $%s", variable);
    f = front_connect_path(path);
    front_set_up(f, &(struct front_conf){.queues = queues});
    return f;
}

/* Stripes, as many as its number. */
static void draw(struct gpu *g, struct gpu_fb *fb, unsigned number)
{
    for (unsigned y = 0; y < HEIGHT; y++)
        for (unsigned x = 0; x < WIDTH; x++) {
            bool stripe = number && x * (2 * number + 1) / WIDTH % 2;
            le32 pixel = htole32(stripe ? 0xf0c040 : 0x203050 + y / 2);

            gpu_fb_write(fb, (uint64_t)y * fb->stride + x * 4, &pixel, 4);
        }
    gpu_draw(g, 1, fb, 0, 0, WIDTH, HEIGHT);
    printf("drawn %u\n", number);
}

int main(void)
{
    struct front *disk = connect_to("VUB_DISK", 1);
    struct gpu *g = gpu_on(connect_to("VUB_SCREEN", 2));
    struct gpu_fb *fb = gpu_fb_new(g, WIDTH, HEIGHT, 4096);
    char line[256], sector[512];
    unsigned number;

    gpu_show(g, 0, 1, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, fb);
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("\033[2J\033[1;32mready\033[0m\r\n");
    while (fgets(line, sizeof(line), stdin) && strcmp(line, "end\n") != 0) {
        if (sscanf(line, "draw %u", &number) == 1)
            draw(g, fb, number);
        else if (sscanf(line, "read %u", &number) == 1)
            printf("read %u: %u\n", number,
                   blk_do(disk->vq[0], VIRTIO_BLK_T_IN, number, sector,
                          sizeof(sector)));
        else
            printf("what is %s", line);
    }
    gpu_close(g);
    front_free(disk);
    printf("over\n");
    return 0;
}
