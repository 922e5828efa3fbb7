/* A GPU as its guest, its front-end and the front-end's display see it, all at
 * once: commands, rings, memory maps, sessions and displays that come and go.
 *
 * The first byte chooses the config, the features and whether there is a
 * display at first; then comes a list of steps. A step is a byte:
 *
 *     0..99     a command is put on the control queue: gpu_commands.c
 *     100..111  a call of the control socket, or one is given up, or one of
 *               the threads that work for them goes on: gpu_calls.c
 *     112..135  the same on the cursor queue
 *     136..143  what it takes to show a picture, or for a large transfer
 *     144..167  a ring is kicked
 *     168..183  the loop turns
 *     184..203  the display reads some, says some, or answers
 *     204..215  the guest stores to its memory
 *     216..223  all is quiet, and compared
 *     224..231  another memory map
 *     232..235  a ring drains and starts again
 *     236..239  the config space is written to
 *     240..243  a display is given, or hangs up
 *     244..247  the clock goes on; the front-end takes memory away
 *     248..     the session ends or is reset, another one begins; the device
 * may be another by then, which goes on with what was left: if that was spoilt,
 * it may do what it likes until it is reset
 *
 * What must hold: each chain is answered once, in order, with what the model
 * (gpu_model.c) has; guest memory changes nowhere else; what the display reads
 * keeps to its protocol and shows, when all is quiet, what the model has; each
 * socket is given back. */
#include "gpu.h"

#define STEPS_MAX 400

#define SCANOUTS_TEXT                                                          \
    "\"scanouts\": [{\"width\": 640, \"height\": 480}, "                       \
    "{\"width\": 64, \"height\": 64}, {\"width\": 5120, \"height\": 2880}]"

static const struct world_conf configs[] = {
    {"{\"device\": {\"type\": \"gpu\", \"id\": \"fuzz\", "
     "\"max_memory\": \"1M\", " SCANOUTS_TEXT "}}",
     false, 1u << 20},
    {"{\"device\": {\"type\": \"gpu\", \"id\": \"fuzz\", \"max_memory\": "
     "\"1M\", \"display\": \"headless\", " SCANOUTS_TEXT "}}",
     true, 1u << 20},
    {"{\"device\": {\"type\": \"gpu\", \"id\": \"fuzz\", "
     "\"max_memory\": \"16M\", " SCANOUTS_TEXT "}}",
     false, 16u << 20},
    {"{\"device\": {\"type\": \"gpu\", \"id\": \"fuzz\", \"dmabuf\": true, "
     "\"max_memory\": \"1M\", " SCANOUTS_TEXT "}}",
     false, 1u << 20},
};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    world_init(configs, ARRAY_LEN(configs));
    return 0;
}

/* Everybody does what there is to do, until there is nothing. */
static void settle(void)
{
    unsigned idle = 0;

    for (int i = 0; idle < 3; i++) {
        bool busy = false;

        CHECK(i < 4000);
        for (unsigned r = 0; r < RINGS; r++)
            guest_kick(r);
        world_turn();
        busy |= front_read(SIZE_MAX) > 0;
        busy |= front_answer();
        busy |= front_say(SIZE_MAX) > 0;
        busy |= session_runs() && guest_is_busy();
        idle = busy ? 0 : idle + 1;
    }
    guest_look_closely();
    if (session_runs() && front_is_open() && display_is_held() &&
        !world->headless)
        model_compare();
}

static void front(uint8_t what)
{
    switch (what % 4) {
    case 0:
        front_read(u8() * 64u);
        break;
    case 1:
        front_read(u8() + 1u);
        break;
    case 2:
        front_say(1 + u8());
        break;
    default:
        front_answer();
        front_say(u8() & 1 ? SIZE_MAX : 5);
    }
}

static void call(uint8_t what)
{
    switch (what % 4) {
    case 0:
        call_something();
        break;
    case 1:
        call_cancel(u8());
        break;
    default:
        jobs_go_on(u8());
    }
}

static void spoilt_session(uint8_t b)
{
    model_spoil(true);
    session_begin(ALL_FEATURES, b & 32);
    for (int i = 0; i < 4; i++) {
        guest_kick(i & 1);
        world_turn();
        call((uint8_t)i);
        front(u8());
        command_control();
        command_cursor();
    }
    session_end();
    device->ops->reset(device);
    model_spoil(false);
}

static void another_session(uint8_t what)
{
    uint8_t b = u8();

    session_end();
    if (what & 2)
        world_hand_over(what & 4);
    if (what & 2 && what & 4)
        spoilt_session(b);
    if (what & 1) {
        device->ops->reset(device);
        model_reset();
    }
    session_begin(b & 8 ? (b & 7) << 1 & ALL_FEATURES : ALL_FEATURES, b & 16);
}

static void step(void)
{
    uint8_t what = u8();

    if (what < 100) {
        command_control();
    } else if (what < 112) {
        call(what);
    } else if (what < 136) {
        command_cursor();
    } else if (what < 144) {
        if (what == 143)
            command_large();
        else
            command_scene();
    } else if (what < 168) {
        guest_kick(what % 4 == 0);
    } else if (what < 184) {
        world_turn();
    } else if (what < 204) {
        front(what);
    } else if (what < 216) {
        unsigned where = u16() * 4u;

        guest_store(where, u8() * 64u, u8());
    } else if (what < 224) {
        settle();
    } else if (what < 232) {
        guest_remap(what);
    } else if (what < 236) {
        ring_restart(what & 1, what & 2);
    } else if (what < 240) {
        uint8_t b = u8();

        config_write(b & 12, what & 1 ? u32() : VIRTIO_GPU_EVENT_DISPLAY, 4);
    } else if (what < 244) {
        uint8_t b = u8();

        if (what & 1)
            display_give(b & 128 ? 1u << (b & 15) : 1u << 20);
        else if (b & 1)
            front_close();
        else
            display_take();
    } else if (what < 248) {
        if (what == 247)
            guest_shrink();
        else
            clock_forward(u8() * 16u);
    } else {
        another_session(what);
    }
    guest_look();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t how;

    input_set(data, size);
    how = u8();
    world_open(&configs[how % ARRAY_LEN(configs)]);
    if (how & 16)
        session_begin(ALL_FEATURES, false);
    if (!(how & 32))
        display_give(how & 64 ? 4096 : 1u << 20);
    if (!(how & 16))
        session_begin(ALL_FEATURES, false);
    for (int i = 0; i < STEPS_MAX && !input_ended(); i++)
        step();
    settle();
    session_end();
    guest_look_closely();
    world_close();
    return 0;
}
