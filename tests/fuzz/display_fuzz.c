/* The front-end's display says anything, at any time, in any pieces, while the
 * guest draws.
 *
 * The first byte chooses how much the socket takes, whether dma-bufs are asked
 * for, and whether the display answers at first, so that the guest can draw;
 * then comes a list of steps. A step is a byte:
 *
 *     0..47     the display says a message that is nearly an answer: which,
 *               its flags, its size, and some bytes of it
 *     48..79    it says bytes of the input
 *     80..95    it answers what it was asked
 *     96..127   some of what it says is sent
 *     128..159  it reads some
 *     160..199  the guest draws: gpu_commands.c
 *     200..223  the loop turns
 *     224..231  it hangs up, for one direction or both
 *     232..239  fds come with what it says
 *     240..245  another display
 *     246..249  the clock goes on
 *     250..     another session
 *
 * What must hold: what goes out keeps to the protocol, whatever comes in; each
 * socket, and each fd that was sent, is given back; the guest's commands have
 * their answers, and nobody waits for the display for ever. */
#include <string.h>

#include "gpu.h"

#define STEPS_MAX 400
#define START_TURNS 8 /* and a clock that goes on meanwhile */

static const struct world_conf configs[] = {
    {"{\"device\": {\"type\": \"gpu\", \"id\": \"fuzz\", "
     "\"max_memory\": \"1M\"}}",
     false, 1u << 20},
    {"{\"device\": {\"type\": \"gpu\", \"id\": \"fuzz\", \"dmabuf\": true, "
     "\"max_memory\": \"1M\", \"scanouts\": ["
     "{\"width\": 640, \"height\": 480}, {\"width\": 64, \"height\": 64}]}}",
     false, 1u << 20},
};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    world_init(configs, ARRAY_LEN(configs));
    return 0;
}

/* A header, and what follows it, most of it as it ought to be. */
static void nearly(void)
{
    static const struct {
        uint32_t request, size;
    } answers[] = {
        {1, 8}, {3, 408}, {11, 1056}, {10, 0}, {3, 408}, {11, 1056}, {2, 0},
    };
    uint8_t b = u8(), how = u8();
    uint32_t header[3], bytes;
    uint8_t payload[1200];

    header[0] = answers[b % ARRAY_LEN(answers)].request;
    header[1] = how & 1 ? u8() : 4;
    header[2] = answers[b % ARRAY_LEN(answers)].size;
    bytes = header[2];
    if (how & 2)
        header[2] = bytes = u16() % sizeof(payload);
    if (how & 4)
        header[2] = u32();
    memset(payload, how & 8 ? u8() : 0, sizeof(payload));
    /* Where sizes, places and switches of displays are, and an EDID's. */
    for (unsigned n = how >> 4; n > 0; n--) {
        uint32_t word = how & 128 ? u32() : u8();

        memcpy(payload + 4 * (6 + u8() % 16), &word, sizeof(word));
    }
    front_say_bytes(header, sizeof(header));
    front_say_bytes(payload, bytes);
}

static void anything(void)
{
    uint8_t bytes[32];
    unsigned len = u8() % sizeof(bytes);

    for (unsigned i = 0; i < len; i++)
        bytes[i] = u8();
    front_say_bytes(bytes, len);
}

static void draw(uint8_t what)
{
    switch (what % 5) {
    case 0:
        command_scene();
        break;
    case 1:
        command_cursor();
        break;
    case 2:
        guest_store(u8() * 256u, u8() * 64u, u8());
        break;
    default:
        command_control();
    }
    if (u8() & 1) {
        guest_kick(VIRTIO_GPU_CONTROLQ);
        guest_kick(VIRTIO_GPU_CURSORQ);
    }
}

static void step(void)
{
    uint8_t what = u8();

    if (what < 48) {
        nearly();
    } else if (what < 80) {
        anything();
    } else if (what < 96) {
        front_answer();
    } else if (what < 128) {
        front_say(what & 1 ? SIZE_MAX : u8());
    } else if (what < 160) {
        front_read(what & 1 ? SIZE_MAX : u8() * 16u);
    } else if (what < 200) {
        draw(what);
    } else if (what < 224) {
        world_turn();
    } else if (what < 232) {
        front_hang_up(what & 1, what & 2);
    } else if (what < 240) {
        front_say_fds(1 + what % 8u);
    } else if (what < 246) {
        uint8_t b = u8();

        display_give(b & 128 ? 1u << (b & 15) : 1u << 20);
    } else if (what < 250) {
        clock_forward(u8() * 8u);
    } else {
        session_end();
        session_begin(ALL_FEATURES, what & 1);
    }
    guest_look();
}

/* Whatever the display does, or does not do, the guest's life goes on. */
static void wait_for_guest(void)
{
    for (int i = 0; !session_runs() || guest_is_busy(); i++) {
        CHECK(i < START_TURNS);
        clock_forward(1000);
        world_turn();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t how;

    input_set(data, size);
    how = u8();
    world_open(&configs[how & 1]);
    front_lies = true;
    display_give(how & 2 ? 4096 : 1u << 20);
    session_begin(ALL_FEATURES, false);
    if (how & 4) {
        world_turn();
        front_read(SIZE_MAX);
        while (front_answer())
            front_say(SIZE_MAX);
        wait_for_guest();
    }
    for (int i = 0; i < STEPS_MAX && !input_ended(); i++)
        step();
    wait_for_guest();
    front_read(SIZE_MAX);
    session_end();
    guest_look_closely();
    world_close();
    return 0;
}
