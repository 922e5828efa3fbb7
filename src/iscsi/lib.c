/* libiscsi, which comes with libraries of its own: those of RDMA. */
#include "iscsi/lib.h"

#include "iscsi/unit.h"

LIBRARY(libiscsi, LIBISCSI, VUB_LIBRARY_iscsi);

int iscsi_ready(struct err *e)
{
    return library_load(&libiscsi_library, e);
}
