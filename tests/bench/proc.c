/* See proc.h. Read line by line as the kernel prints them; files that are not
 * there (a thread has just ended) count nothing. */
#include "proc.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

uint64_t proc_rss(pid_t pid, const char *without)
{
    char path[64], line[512];
    uint64_t total_kib = 0, kib;
    bool counts = true;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/smaps", (int)pid);
    f = fopen(path, "r");
    while (f && fgets(line, sizeof(line), f)) {
        /* "7f0-7f1 rw-s ..." opens a mapping, "Rss: 12 kB" is about it. */
        if (strspn(line, "0123456789abcdef") == strcspn(line, "-"))
            counts = !strstr(line, without);
        else if (counts && sscanf(line, "Rss: %" SCNu64 " kB", &kib) == 1)
            total_kib += kib;
    }
    if (f)
        fclose(f);
    return total_kib * 1024;
}

static uint64_t sleeps_of_thread(pid_t pid, const char *thread)
{
    uint64_t sleeps = 0;
    char path[320], line[128];
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/task/%s/status", (int)pid, thread);
    f = fopen(path, "r");
    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "voluntary_ctxt_switches: %" SCNu64, &sleeps) == 1)
            break;
    if (f)
        fclose(f);
    return sleeps;
}

uint64_t proc_sleeps(pid_t pid)
{
    uint64_t total = 0;
    struct dirent *e;
    char path[64];
    DIR *d;

    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    d = opendir(path);
    while (d && (e = readdir(d)))
        if (e->d_name[0] != '.')
            total += sleeps_of_thread(pid, e->d_name);
    if (d)
        closedir(d);
    return total;
}
