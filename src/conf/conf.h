/* conf/conf.h: the config, read by tables.
 *
 * A part of the config that a module understands is one struct of that module
 * and one table that says how its keys fill it. The reader, the JSON Schema
 * and the man page all come from the same tables, so they cannot disagree.
 * Reading is pure: it fills structs and appends to a list of errors, each with
 * its JSON Pointer; opening things comes later and elsewhere.
 *
 *     struct file_conf { const char *path; bool direct; };
 *
 *     static const struct conf_key file_keys[] = {
 *         {"path", CONF_PATH, CONF_AT(struct file_conf, path),
 *          .required = true, .help = "The image: a file or block device."},
 *         {"direct", CONF_BOOL, CONF_AT(struct file_conf, direct),
 *          .def = "false", .help = "Bypass the page cache."},
 *         {NULL},
 *     };
 *
 * Rules held for all tables: unknown keys, duplicate keys, wrong types and
 * values out of range are errors; sizes take K, M, G, T (of 1024); numbers
 * from 2^53 on must be strings; trailing bytes and deep nesting are errors.
 * Threads: the main one. json.c is the only file that names cJSON; docs.h has
 * the schema and the man page. */
#ifndef VUB_CONF_CONF_H
#define VUB_CONF_CONF_H

#include "base/base.h"
#include "base/err.h"

enum conf_type {
    CONF_BOOL,   /* bool */
    CONF_STR,    /* const char *, UTF-8, no NUL; min..max: of its bytes */
    CONF_PATH,   /* const char *, not empty, made absolute from the file's
                  * directory */
    CONF_U32,    /* uint32_t within min..max; or a word of `words`, which
                  * stores its CONF_WORD value */
    CONF_I32,    /* int32_t, any */
    CONF_HEX,    /* uint32_t within 0..max: a number, or "0x046d" */
    CONF_SIZE,   /* uint64_t bytes: number or "64M"; within min..max */
    CONF_CHOICE, /* unsigned: the index of the string in `words` */
    CONF_MODE,   /* unsigned: "0660", octal permission bits */
    CONF_STRS,   /* struct conf_strs: a string or an array of strings, neither
                  * empty */
    CONF_TABLE,  /* an object, into the struct embedded there, by `table`;
                  * a bare string, or true or false, is taken as the key
                  * named `shorthand` */
    CONF_UNION,  /* struct conf_any: an object whose "type" picks a table */
    CONF_UNIONS, /* struct conf_anys: an array of such objects, min..max many */
    CONF_TABLES, /* struct conf_anys: the same, of objects by `table` */
    CONF_REAL,   /* double: any number */
    CONF_JSON,   /* const char *: whatever it is, as JSON; NULL: not given */
    CONF_OBJECT, /* the same of an object, whose keys may be any */
    CONF_KEYED,  /* struct conf_keyeds: an array of objects, min..max many, of
                  * which each has one key that says what it is: `keyed` */
    CONF_ANY,    /* nothing is stored: accepted and ignored ("$schema") */
};

/* What a word of a CONF_U32 key stores: beyond every number it may have. */
#define CONF_WORD(i) (UINT32_MAX - (uint32_t)(i))

struct conf_strs {
    const char **list;
    int count;
};

struct conf_table;
struct conf_union;
struct conf_keyed;

/* A struct that the reader allocated: of the size and by the keys of table.
 * Owned by the document. */
struct conf_any {
    const struct conf_table *table;
    void *data;
    const char *at; /* its JSON Pointer, for errors found later */
};

struct conf_anys {
    struct conf_any *list;
    int count;
};

/* An element of a CONF_KEYED: {"wait": {"device": "disk"}, "name": "boot"}. */
struct conf_keyed_one {
    unsigned row;     /* which of its kind: "wait" */
    void *common;     /* by the keys beside: "name" */
    void *data[2];    /* by the row's tables, of the value: "device" */
    const char *json; /* the value */
    const char *at;
};

struct conf_keyeds {
    struct conf_keyed_one *list;
    int count;
};

struct conf_key {
    const char *name; /* NULL ends a table */
    enum conf_type type;
    size_t offset; /* of the field, from the start of the struct */
    bool required;
    const char *def;          /* as it would be written in JSON; NULL: zero */
    uint64_t min, max;        /* max 0: the whole range of the type */
    const char *const *words; /* NULL-ended */
    const struct conf_table *table;
    const struct conf_union *of;
    const struct conf_keyed *keyed;
    const char *shorthand;
    const char *help; /* one or two sentences, for the man page */
    bool only_read;   /* of a path: nobody writes there */
    bool live;        /* of a number: may change while it is in use */
    /* Set: *(bool *)(struct + seen_offset - 1) tells whether the key was
     * given (and good). See CONF_SEEN. */
    size_t seen_offset;
};

#define CONF_AT(type, field) offsetof(type, field)
#define CONF_SEEN(type, field) (offsetof(type, field) + 1)

struct conf_table {
    const char *name; /* of an object in a union: the value of its "type" */
    size_t size;      /* of the struct, bytes */
    const struct conf_key *keys;
    const char *help;
    /* Rules between keys; called when every key was good. NULL: none.
     * at: the object's JSON Pointer. Elements of CONF_UNIONS and CONF_TABLES
     * may have had errors all the same, so that rules between elements are
     * checked even then: their bad keys are zero. */
    void (*check)(void *data, const char *at, struct errs *e);
    const void *ops; /* whatever the module needs to open it */
};

struct conf_union {
    const char *what;                       /* "store", for messages */
    const struct conf_key *common;          /* keys of every member, or NULL;
                                             * their struct starts each one's */
    const struct conf_table *const *tables; /* NULL-ended */
};

struct conf_keyed_row {
    const char *name, *help;
    const struct conf_table *tables[2]; /* NULL: none */
};

/* What the elements of a CONF_KEYED may be. */
struct conf_keyed {
    const char *what;                /* "step", for messages */
    const struct conf_table *common; /* the keys that each may have beside */
    /* The i-th; false: there are fewer. */
    bool (*row)(unsigned i, struct conf_keyed_row *out);
    /* Why there is none of this name, if somebody may expect one: a sentence.
     * NULL: nobody does. */
    const char *(*why_not)(const char *name);
};

struct conf_doc; /* a document: owns everything read from it */

/* Reads a file, or text, whose relative paths start in `dir` (absolute).
 * sets: NULL, or a NULL-ended list of "/json/pointer=value" applied before it
 * is read. "-" as last part of a pointer appends to an array; objects on the
 * way that do not exist are made; the value is JSON if it parses as JSON, else
 * a string (but what starts like an object, an array or a string must be one).
 * root: the table of the whole document; its struct is *out, owned by the
 * document.
 * Returns 0, or a negative errno with at least one error in e. The place of an
 * error is a JSON Pointer, or "line 3, column 5", or "--set /x=1". */
int conf_read_file(struct conf_doc **doc, void **out,
                   const struct conf_table *root, const char *path,
                   const char *const *sets, struct errs *e);
int conf_read_text(struct conf_doc **doc, void **out,
                   const struct conf_table *root, const char *text, size_t len,
                   const char *dir, const char *const *sets, struct errs *e);

struct json; /* conf/json.h */

/* An empty document, to read into. NULL: no memory. */
struct conf_doc *conf_new(void);
/* Reads an object of a parsed text, which has the keys of both tables (NULL:
 * none): out[i], the document's, is filled by tables[i]. n NULL: an object
 * without keys. name: of the member of the text that n is, for the places of
 * errors; NULL: n is the whole. Relative paths start in `dir` (absolute).
 * Returns as conf_read_file does. */
int conf_read_object(struct conf_doc *doc, void *out[2],
                     const struct conf_table *const tables[2],
                     const struct json *n, const char *name, const char *dir,
                     struct errs *e);
/* Where the relative paths of a document that was read start; the document's.
 */
const char *conf_dir(const struct conf_doc *doc);
/* One more owner of a document. [any thread] */
struct conf_doc *conf_ref(struct conf_doc *doc);
/* Frees it, if this is the last owner; doc may be NULL. [any thread] */
void conf_free(struct conf_doc *doc);

/* Do they say the same? Both are good, and members of a union, NULL: elements
 * of CONF_TABLES. */
bool conf_same(const struct conf_any *a, const struct conf_any *b,
               const struct conf_union *of);
/* A number that is the same for those that say the same, and hardly ever for
 * others: for who cannot compare them. */
uint64_t conf_digest(const struct conf_any *a, const struct conf_union *of);
/* The same, whatever their live keys say. */
bool conf_same_but_live(const struct conf_any *a, const struct conf_any *b,
                        const struct conf_union *of);
/* Of two that are the same but for those: each gets the live keys of the other;
 * a those of b. */
void conf_swap_live(const struct conf_any *a, const struct conf_any *b,
                    const struct conf_union *of);
void conf_take_live(const struct conf_any *a, const struct conf_any *b,
                    const struct conf_union *of);

/* Whoever looks at all that a config names. */
struct conf_visitor {
    /* Each object that is there; at NULL: it is a part of the one around it. */
    void (*object)(const struct conf_any *o, void *arg);
    /* Each CONF_PATH that is not empty; NULL: they do not matter. */
    void (*path)(const struct conf_key *k, const char *path, void *arg);
    void *arg;
};

/* Looks at data, which was read by t without errors, and at all below. */
void conf_visit(const struct conf_table *t, const void *data,
                const struct conf_visitor *v);

/* "64M" to bytes; false if it is no size. */
bool conf_parse_size(const char *text, uint64_t *bytes);

#endif
