/* What the config says of a session, checked and copied. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "iscsi/impl.h"
#include "os/broker.h"

#define DEFAULT_PORT 3260
#define LUN_MAX 16383 /* flat addressing: SAM-5, 4.7.4 */

static bool parse_number(const char *s, size_t len, unsigned long max,
                         unsigned long *out)
{
    unsigned long v = 0;

    if (len == 0 || len > 9)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!isdigit((unsigned char)s[i]))
            return false;
        v = v * 10 + (unsigned long)(s[i] - '0');
    }
    *out = v;
    return v <= max;
}

bool portal_parse(const char *text, size_t len, struct portal *out)
{
    const char *end = text + len, *host = text, *host_end, *port = NULL;
    unsigned long n = DEFAULT_PORT;

    if (len > 0 && *text == '[') {
        host++;
        host_end = memchr(text, ']', len);
        if (!host_end)
            return false;
        if (host_end + 1 < end) {
            if (host_end[1] != ':')
                return false;
            port = host_end + 2;
        }
    } else {
        host_end = memchr(text, ':', len);
        if (host_end)
            port = host_end + 1;
        else
            host_end = end;
    }
    if (host_end == host || (size_t)(host_end - host) >= sizeof(out->host))
        return false;
    for (const char *c = host; c < host_end; c++) {
        if ((unsigned char)*c <= 0x20 || strchr("/?#@%[]\"\\", *c) ||
            (*c == ':' && *text != '[') || *c == 0x7f)
            return false;
    }
    if (port && (!parse_number(port, (size_t)(end - port), 65535, &n) || !n))
        return false;
    memcpy(out->host, host, (size_t)(host_end - host));
    out->host[host_end - host] = '\0';
    out->port = (uint16_t)n;
    return true;
}

void portal_text(const char *host, uint16_t port, char out[PORTAL_TEXT_BYTES])
{
    snprintf(out, PORTAL_TEXT_BYTES, strchr(host, ':') ? "[%s]:%u" : "%s:%u",
             host, port);
}

/* RFC 7143, 4.2.7: iqn., eui. or naa. and then what a URL and a log line can
 * do with. */
static bool name_is_good(const char *s, size_t len)
{
    if (len < 5 || len >= NAME_BYTES ||
        (strncmp(s, "iqn.", 4) != 0 && strncmp(s, "eui.", 4) != 0 &&
         strncmp(s, "naa.", 4) != 0))
        return false;
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char)s[i]) && !strchr(".:-_", s[i]) &&
            (unsigned char)s[i] < 0x80)
            return false;
    }
    return true;
}

static int url_fill(struct params *p, unsigned *lun, const char *url,
                    const char *at, struct errs *e)
{
    const char *host, *target, *number;
    unsigned long n;

    if (strncmp(url, "iscsi://", 8) != 0)
        return errs_at(e, at, "url",
                       "an iSCSI unit is iscsi://HOST[:PORT]/TARGET/LUN");
    host = url + 8;
    target = strchr(host, '/');
    if (memchr(host, '@', target ? (size_t)(target - host) : strlen(host)))
        return errs_at(e, at, "url",
                       "a user or a secret has no place in the url: they go "
                       "into chap");
    if (strchr(host, '?'))
        return errs_at(e, at, "url",
                       "a url has no options here: they are keys beside it");
    number = target ? strchr(target + 1, '/') : NULL;
    if (!number)
        return errs_at(e, at, "url",
                       "it says no target and number: "
                       "iscsi://HOST[:PORT]/TARGET/LUN");
    if (!portal_parse(host, (size_t)(target - host), &p->portals[0]))
        return errs_at(e, at, "url", "%.*s is no HOST[:PORT]",
                       (int)MIN(target - host, 100), host);
    p->num_portals = 1;
    target++;
    if (!name_is_good(target, (size_t)(number - target)))
        return errs_at(e, at, "url",
                       "%.*s is no name of a target: it starts with iqn., "
                       "eui. or naa. and has at most %d bytes",
                       (int)MIN(number - target, 100), target, NAME_BYTES - 1);
    memcpy(p->target, target, (size_t)(number - target));
    p->target[number - target] = '\0';
    if (!parse_number(number + 1, strlen(number + 1), LUN_MAX, &n))
        return errs_at(e, at, "url", "%.40s is no number of a unit: 0 to %d",
                       number + 1, LUN_MAX);
    *lun = (unsigned)n;
    return 0;
}

static int portals_fill(struct params *p, const struct iscsi_conf *c,
                        const char *at, struct errs *e)
{
    int rc = 0;

    for (int i = 0; i < c->portals.count; i++) {
        const char *text = c->portals.list[i];

        if (p->num_portals == PORTALS_MAX)
            return errs_at(e, at, "portals", "at most %d are tried",
                           PORTALS_MAX - 1);
        if (portal_parse(text, strlen(text), &p->portals[p->num_portals]))
            p->num_portals++;
        else
            rc = errs_at(e, at, "portals", "%.100s is no HOST[:PORT]", text);
    }
    return rc;
}

int initiator_fill(char out[NAME_BYTES], const char *name, const char *at,
                   struct errs *e)
{
    char host[RESOLVE_HOST_BYTES];
    size_t n;

    if (name) {
        if (!name_is_good(name, strlen(name)))
            return errs_at(e, at, "initiator",
                           "%.100s is no iSCSI name: it starts with iqn., "
                           "eui. or naa. and has at most %d bytes",
                           name, NAME_BYTES - 1);
        snprintf(out, NAME_BYTES, "%s", name);
        return 0;
    }
    resolve_own_name(host);
    n = (size_t)snprintf(out, NAME_BYTES, "iqn.2026-01.org.vub:");
    for (const char *h = host; *h && n < NAME_BYTES - 1; h++) {
        if (isalnum((unsigned char)*h) || *h == '.' || *h == '-')
            out[n++] = (char)tolower((unsigned char)*h);
    }
    if (out[n - 1] == ':')
        n += (size_t)snprintf(out + n, NAME_BYTES - n, "host");
    out[n] = '\0';
    return 0;
}

/* The first line of a file that is nobody else's business. No reader's buffer
 * keeps it, and a pipe, for which open and read might wait for ever, is not
 * read. */
static int read_secret(char out[SECRET_BYTES], const char *path, const char *at,
                       const char *key, struct errs *e)
{
    const int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    int fd = broker_open(path, flags, 0), rc = 0;
    struct stat st;
    ssize_t have;
    size_t n;
    struct err why;

    if (fd < 0) {
        broker_fail(&why, fd, "open", path);
        return errs_adopt(e, at, key, &why);
    }
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        rc = errs_at(e, at, key, "%s is no file", path);
    } else if (st.st_mode & (S_IRWXO | S_IWGRP)) {
        rc = errs_at(e, at, key,
                     "%s can be read by everybody, or written by others (mode "
                     "%03o): chmod 600",
                     path, st.st_mode & 0777);
    } else if ((have = read(fd, out, SECRET_BYTES - 1)) < 0) {
        rc = errs_at(e, at, key, "cannot read %s: %s", path, strerror(errno));
    } else if (have == 0) {
        rc = errs_at(e, at, key, "%s is empty", path);
    } else {
        out[have] = '\0';
        n = strcspn(out, "\r\n");
        if (n == 0)
            rc = errs_at(e, at, key, "the first line of %s is empty", path);
        else if (n == SECRET_BYTES - 1)
            rc = errs_at(e, at, key,
                         "the secret in %s is too long: %d bytes "
                         "at most",
                         path, SECRET_BYTES - 2);
        explicit_bzero(out + n, SECRET_BYTES - n);
    }
    close(fd);
    return rc;
}

int chap_fill(struct chap *out, const struct iscsi_chap *c, const char *at,
              const char *key, struct errs *e)
{
    char place[64];
    const char *secret;

    if (!c->user && !c->secret_file && !c->secret_env)
        return 0;
    if (!c->user)
        return errs_at(e, at, key, "a secret needs a user");
    if (!c->secret_file == !c->secret_env)
        return errs_at(e, at, key,
                       "a user needs a secret: just one of secret_file and "
                       "secret_env");
    snprintf(out->user, sizeof(out->user), "%s", c->user);
    if (c->secret_file) {
        snprintf(place, sizeof(place), "%s/secret_file", key);
        return read_secret(out->secret, c->secret_file, at, place, e);
    }
    secret = getenv(c->secret_env);
    snprintf(place, sizeof(place), "%s/secret_env", key);
    if (!secret || !*secret)
        return errs_at(e, at, place, "there is no %s in the environment",
                       c->secret_env);
    if (strlen(secret) > SECRET_BYTES - 2)
        return errs_at(e, at, place,
                       "the secret in %s is too long: %d bytes "
                       "at most",
                       c->secret_env, SECRET_BYTES - 2);
    snprintf(out->secret, sizeof(out->secret), "%s", secret);
    return 0;
}

/* os/tap.h says why. */
int libiscsi_check(const char *at, struct errs *e)
{
    const char *call = tap_missing();
    struct err why;

    if (call)
        return errs_at(
            e, at, NULL,
            "this build of vub cannot use iSCSI: what libiscsi does by "
            "%s() would not pass through vub's checks",
            call);
    return iscsi_ready(&why) < 0 ? errs_adopt(e, at, NULL, &why) : 0;
}

int params_fill(struct params *p, unsigned *lun, const struct iscsi_conf *c,
                const char *at, struct errs *e)
{
    int rc;

    memset(p, 0, sizeof(*p));
    rc = libiscsi_check(at, e);
    rc = worse(url_fill(p, lun, c->url, at, e), rc);
    /* Each part is looked at, whatever is wrong with the others. */
    rc = worse(portals_fill(p, c, at, e), rc);
    rc = worse(initiator_fill(p->initiator, c->initiator, at, e), rc);
    rc = worse(chap_fill(&p->chap, &c->chap, at, "chap", e), rc);
    rc =
        worse(chap_fill(&p->mutual, &c->mutual_chap, at, "mutual_chap", e), rc);
    if (rc == 0 && p->mutual.user[0] && !p->chap.user[0])
        rc = errs_at(e, at, "mutual_chap", "it needs chap");
    /* Else the target could let us answer its own challenge. */
    if (rc == 0 && p->mutual.user[0] &&
        strcmp(p->mutual.secret, p->chap.secret) == 0)
        rc = errs_at(e, at, "mutual_chap",
                     "the two secrets must not be the same");
    p->header_digest = c->header_digest;
    p->io_timeout = c->io_timeout;
    p->reconnect_timeout = c->reconnect_timeout;
    p->on_timeout = c->on_timeout;
    return rc;
}

static bool chap_equal(const struct chap *a, const struct chap *b)
{
    return strcmp(a->user, b->user) == 0 && strcmp(a->secret, b->secret) == 0;
}

bool params_equal(const struct params *a, const struct params *b)
{
    if (strcmp(a->target, b->target) != 0 ||
        strcmp(a->initiator, b->initiator) != 0 ||
        a->num_portals != b->num_portals || !chap_equal(&a->chap, &b->chap) ||
        !chap_equal(&a->mutual, &b->mutual))
        return false;
    for (unsigned i = 0; i < a->num_portals; i++) {
        if (strcmp(a->portals[i].host, b->portals[i].host) != 0 ||
            a->portals[i].port != b->portals[i].port)
            return false;
    }
    return a->header_digest == b->header_digest &&
           a->io_timeout == b->io_timeout &&
           a->reconnect_timeout == b->reconnect_timeout &&
           a->on_timeout == b->on_timeout;
}

void params_wipe(struct params *p)
{
    explicit_bzero(p, sizeof(*p));
}
