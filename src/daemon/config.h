/* daemon/config.h: the whole config: what a file may say, and the rules
 * between devices.
 *
 * Reading is pure. Threads: the main one. */
#ifndef VUB_DAEMON_CONFIG_H
#define VUB_DAEMON_CONFIG_H

#include "base/log.h"
#include "conf/conf.h"
#include "device/devices.h"

struct log_config {
    unsigned level;  /* enum log_level */
    unsigned format; /* enum log_format */
};

struct control_config {
    const char *path; /* as written: relative to runtime_dir */
    unsigned mode;
};

struct sandbox_config {
    bool enabled, system_calls;
    struct conf_strs paths;   /* as written: relative to the config */
    const char *user, *group; /* NULL: stays */
};

struct config {
    const char *runtime_dir; /* NULL: by the environment, config_runtime_dir */
    struct control_config control;
    bool has_control; /* else there is no control socket */
    struct log_config log;
    struct sandbox_config sandbox;
    struct conf_anys devices; /* at least one */
};

/* Where it is read, at the start and again. */
struct config_source {
    const char *path;          /* of the file, or what text is called */
    const char *text;          /* instead of a file, as if it lay in the current
                                * directory; NULL: a file */
    bool again;                /* it was read before: what may keep its reader
                                * waiting, a pipe, is not read once more */
    const char *const *sets;   /* for conf_read_file */
    int log_level, log_format; /* of the command line, which comes before the
                                * file; -1: none */
};

int config_read(struct conf_doc **doc, const struct config **out,
                const struct config_source *source, struct errs *e);
void config_set_log(const struct config_source *source,
                    const struct log_config *log);

/* The table of struct config. */
extern const struct conf_table config_table;

/* The rules between keys and between devices, which its table checks: for a
 * config that was put together. */
void config_check(const struct config *c, struct errs *e);

/* The words of enum log_level and enum log_format, NULL-ended. */
extern const char *const log_level_words[];
extern const char *const log_format_words[];

/* Where sockets go that have no absolute path. The caller frees it; NULL: no
 * memory. */
char *config_runtime_dir(const struct config *c);
/* The absolute path of a device's socket; the caller frees it. NULL: it has
 * an fd (or there is no memory). */
char *config_socket_path(const char *runtime_dir,
                         const struct device_common *d);

/* The same of the control socket, which there is. */
char *config_control_path(const char *runtime_dir, const struct config *c);

static inline const struct device_common *config_device(const struct config *c,
                                                        int i)
{
    return c->devices.list[i].data;
}

#endif
