/* Which libraries are in the program's memory: those that its config has a use
 * for, and with a control socket those of whatever may come, since the sandbox
 * lets no new code in. os/library.h. */
#include <signal.h>
#include <sys/stat.h>

#include "headless.h"
#include "isolated.h"

#define UNIT                                                                   \
    "{'id': 'san', 'type': 'scsi', 'luns': [{'store': "                        \
    "{'type': 'memory', 'size': '1M'}}]}"
#define KEYBOARD                                                               \
    "{'id': 'keys', 'type': 'input', 'source': {'type': 'virtual', "           \
    "'preset': 'keyboard'}}"
#define ISCSI                                                                  \
    "{'type': 'iscsi', 'url': "                                                \
    "'iscsi://127.0.0.1:1/iqn.2024-01.example:none/0'}"

static bool has(pid_t pid, const char *library)
{
    char path[64], line[512];
    bool found = false;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
    f = fopen(path, "re");
    if (!f)
        front_fail("%s: %s", path, strerror(errno));
    while (!found && fgets(line, sizeof(line), f))
        found = strstr(line, library) != NULL;
    fclose(f);
    return found;
}

/* Each is there if it is in `wanted`, and only then. */
static void need_libraries(pid_t pid, const char *wanted)
{
    static const char *const all[] = {"libiscsi", "libpixman", "libpng",
                                      "libyaml", "libevdev"};

    for (unsigned i = 0; i < ARRAY_LEN(all); i++)
        if (has(pid, all[i]) != (strstr(wanted, all[i]) != NULL))
            front_fail("%s is in memory, or is not: wanted is \"%s\"", all[i],
                       wanted);
}

static struct vub *begin(const char *more, const char *devices)
{
    struct vub *v = vub_new();

    vub_config_whole(v, "{'runtime_dir': '%s', %s'devices': [%s]}", v->dir,
                     more, devices);
    vub_run(v);
    return v;
}

static void devices_bring_their_own_and_no_others(void **state)
{
    static const struct {
        const char *devices, *libraries;
    } rows[] = {
        {DISK("d", "", MEMORY), ""},
        {UNIT, ""},
        {KEYBOARD, "libevdev"},
        {SCREEN(""), "libpixman libpng"},
        {DISK("d", "", ISCSI), "libiscsi"},
        {DISK("d", "", ISCSI) ", " SCREEN(""), "libiscsi libpixman libpng"},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct vub *v = begin("", rows[i].devices);

        need_libraries(v->pid, rows[i].libraries);
        vub_free(v);
    }
}

static void with_a_control_socket_there_is_what_may_come(void **state)
{
    struct vub *v = begin("'control': 'ctl', ", DISK("d", "", MEMORY));
    struct ctl c;

    (void)state;
    need_libraries(v->pid, "libpixman libpng libyaml libevdev");
    ctl_open(&c, v);
    ctl_call(&c, "device.add", "{'config': " SCREEN("") "}");
    ctl_need(&c, "\"result\"");
    ctl_call(&c, "status", "{'device': 'screen'}");
    ctl_need(&c, "\"result\"");
    ctl_close(&c);
    vub_free(v);
}

/* Neither has it the network. */
static void iscsi_comes_to_those_who_have_scsi(void **state)
{
    struct vub *v = begin("'control': 'ctl', ", DISK("d", "", MEMORY));
    struct ctl c;

    (void)state;
    ctl_open(&c, v);
    ctl_call(&c, "device.add", "{'config': " DISK("e", "", ISCSI) "}");
    ctl_need(&c,
             "is loaded only before vub enters its sandbox: start it again");
    ctl_close(&c);
    vub_free(v);

    v = begin("'control': 'ctl', ", UNIT);
    need_libraries(v->pid, "libpixman libpng libyaml libevdev libiscsi");
    ctl_open(&c, v);
    ctl_call(&c, "scsi.lun_add",
             "{'device': 'san', 'lun': 1, 'iscsi': {'url': "
             "'iscsi://127.0.0.1:1/iqn.2024-01.example:none/0'}}");
    ctl_need(&c, "\"result\"");
    ctl_close(&c);
    vub_free(v);
}

static void without_a_sandbox_they_are_loaded_when_they_are_needed(void **state)
{
    struct vub *v =
        begin("'control': 'ctl', 'sandbox': false, ", DISK("d", "", MEMORY));
    struct ctl c;

    (void)state;
    need_libraries(v->pid, "");
    ctl_open(&c, v);
    ctl_call(&c, "device.add", "{'config': " SCREEN("") "}");
    ctl_need(&c, "\"result\"");
    need_libraries(v->pid, "libpixman libpng");
    ctl_call(&c, "device.add", "{'config': " DISK("e", "", ISCSI) "}");
    ctl_need(&c, "\"result\"");
    need_libraries(v->pid, "libpixman libpng libiscsi");
    ctl_close(&c);
    vub_free(v);
}

static void a_config_that_needs_more_by_now_is_told_to_start_again(void **state)
{
    struct vub *v = begin("", DISK("d", "", MEMORY));

    (void)state;
    vub_config_whole(v,
                     "{'runtime_dir': '%s', 'devices': [" DISK(
                         "d", "", MEMORY) ", " SCREEN("") "]}",
                     v->dir);
    vub_signal(v, SIGHUP);
    vub_log_wait(v, "/devices/1: libpixman");
    vub_log_wait(v, "is loaded only before vub enters its sandbox: start it "
                    "again");
    vub_log_wait(v, "the devices are as they were");
    vub_free(v);
}

static void what_an_isolated_device_needs_is_in_its_process_only(void **state)
{
    struct vub *v =
        begin("'control': 'ctl', 'sandbox': false, ",
              DISK("d", "", MEMORY) ", " SCREEN(", 'isolation': 'process'"));
    struct ctl c;

    (void)state;
    ctl_open(&c, v);
    need_libraries(v->pid, "");
    need_libraries(need_process(&c, "screen"), "libpixman libpng");
    ctl_close(&c);
    vub_free(v);
}

BEHAVE_MAIN(T(devices_bring_their_own_and_no_others),
            T(with_a_control_socket_there_is_what_may_come),
            T(iscsi_comes_to_those_who_have_scsi),
            T(without_a_sandbox_they_are_loaded_when_they_are_needed),
            T(a_config_that_needs_more_by_now_is_told_to_start_again),
            T(what_an_isolated_device_needs_is_in_its_process_only))
