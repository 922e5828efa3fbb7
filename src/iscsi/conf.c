/* The config of an iSCSI unit. */
#include "iscsi/unit.h"

static const char *const timeout_words[] = {"error", "stall", NULL};

static const struct conf_key chap_keys[] = {
    {"user", CONF_STR, CONF_AT(struct iscsi_chap, user), .min = 1, .max = 255,
     .help = "The name to log in with."},
    {"secret_file", CONF_PATH, CONF_AT(struct iscsi_chap, secret_file),
     .only_read = true,
     .help = "A file whose first line is the secret. Only its owner and group "
             "may read it."},
    {"secret_env", CONF_STR, CONF_AT(struct iscsi_chap, secret_env), .min = 1,
     .help = "Instead: the name of an environment variable that is the "
             "secret."},
    {NULL},
};

static const struct conf_table chap_table = {
    .name = "chap",
    .size = sizeof(struct iscsi_chap),
    .keys = chap_keys,
    .help = "A name and a secret. The secret is never in the config, and "
            "never logged.",
};

const struct conf_key iscsi_keys[] = {
    {"url", CONF_STR, CONF_AT(struct iscsi_conf, url), .required = true,
     .min = 1,
     .help = "The unit: iscsi://HOST[:PORT]/TARGET/LUN. An IPv6 address "
             "stands in brackets. No secrets here."},
    {"portals", CONF_STRS, CONF_AT(struct iscsi_conf, portals),
     .help = "More ways to the same target, HOST[:PORT], tried in turn when "
             "the one in the url does not answer."},
    {"initiator", CONF_STR, CONF_AT(struct iscsi_conf, initiator), .min = 1,
     .max = 223,
     .help = "The iSCSI name that vub has at the target. Default: one made "
             "of the host's name."},
    {"chap", CONF_TABLE, CONF_AT(struct iscsi_conf, chap), .table = &chap_table,
     .help = "How vub proves to the target who it is."},
    {"mutual_chap", CONF_TABLE, CONF_AT(struct iscsi_conf, mutual_chap),
     .table = &chap_table,
     .help = "How the target proves to vub who it is; needs chap."},
    {"header_digest", CONF_BOOL, CONF_AT(struct iscsi_conf, header_digest),
     .def = "false", .help = "Protect the headers by CRC32C, both ways."},
    {"io_timeout", CONF_U32, CONF_AT(struct iscsi_conf, io_timeout),
     .def = "30000", .max = 3600000,
     .help = "Milliseconds after which a command that the target does not "
             "answer is aborted. 0: never."},
    {"reconnect_timeout", CONF_U32,
     CONF_AT(struct iscsi_conf, reconnect_timeout), .def = "60000",
     .max = 86400000,
     .help = "Milliseconds without a session after which on_timeout says what "
             "becomes of commands that wait for one. 0: they wait for ever."},
    {"on_timeout", CONF_CHOICE, CONF_AT(struct iscsi_conf, on_timeout),
     .def = "\"error\"", .words = timeout_words,
     .help = "\"error\": commands fail until there is a session again; "
             "\"stall\": they wait for it all the same."},
    {NULL},
};

const struct conf_table iscsi_table = {
    .name = "iscsi",
    .size = sizeof(struct iscsi_conf),
    .keys = iscsi_keys,
    .help = "A logical unit of an iSCSI target.",
};
