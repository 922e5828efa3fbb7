/* tests/unit/store/powercut_model.h: a disk that loses its power, and what it
 * has by what was asked of it: every sector says which write it is of, and the
 * model knows which ones it may be of. */
#ifndef VUB_TESTS_UNIT_STORE_POWERCUT_MODEL_H
#define VUB_TESTS_UNIT_STORE_POWERCUT_MODEL_H

#include "base/prng.h"
#include "rig.h"
#include "store/powercut.h"

#define SECTOR 512
#define SECTORS 1024
#define HISTORY 4096

/* Which writes were made since the last flush, and where. */
struct written {
    unsigned at, num;
    uint64_t id;
};

struct model {
    uint64_t now[SECTORS], stable[SECTORS];
    struct written since[HISTORY];
    unsigned num;
    uint64_t id;
};

extern struct model model;

/* rig_open_with, of a disk of SECTORS zeros. */
void model_begin(struct rig *rig, const char *config);
void model_write(struct rig *rig, unsigned at, unsigned num, unsigned flags);
void model_flush(struct rig *rig);
void model_zero(struct rig *rig, unsigned at, unsigned num);
/* Reads of any size see what was written last. */
void model_look(struct rig *rig, unsigned at, unsigned num);
/* So many of these; the same for a seed. */
void model_act(struct rig *rig, struct prng *g, unsigned actions);
/* Which write a sector is of, every byte of it. */
uint64_t model_id_of(const char *sector);

/* Another session. */
void model_reopen(struct rig *rig);
/* And one after a power cut. */
struct power_cut model_cut(struct rig *rig, enum power_outcome how,
                           uint64_t seed);
/* What there is now may be there, and is what there is. */
void model_find(struct rig *rig);

/* power_cut.over, of a cut that goes well. */
void model_on_cut(struct power_cut *cut, int result);
extern bool model_cut_over;

#endif
