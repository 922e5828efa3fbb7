/* virtio/spec.h: the numbers and layouts of the virtio specification that we
 * use, by their names there, with the section each is from.
 *
 * <linux/virtio_*.h> is not available everywhere, hence this file. Fields are
 * le16/le32/le64: they lie in guest memory and are loaded by base/bytes.h. */
#ifndef VUB_VIRTIO_SPEC_H
#define VUB_VIRTIO_SPEC_H

#include "base/base.h"
#include "base/bytes.h"

#define FEATURE(bit) (UINT64_C(1) << (bit))

/* virtio, "Reserved Feature Bits". Bits 0 to 23 and 50 to 127 are the device
 * type's. */
#define VIRTIO_F_INDIRECT_DESC 28
#define VIRTIO_F_EVENT_IDX 29
#define VIRTIO_F_VERSION_1 32
#define VIRTIO_F_ACCESS_PLATFORM 33
#define VIRTIO_F_RING_PACKED 34
#define VIRTIO_F_IN_ORDER 35
#define VIRTIO_F_ORDER_PLATFORM 36
#define VIRTIO_F_SR_IOV 37
#define VIRTIO_F_NOTIFICATION_DATA 38
#define VIRTIO_F_NOTIF_CONFIG_DATA 39
#define VIRTIO_F_RING_RESET 40

/* vhost-user, "Feature negotiation": bits between front-end and back-end that
 * no guest sees. */
#define VHOST_F_LOG_ALL 26
#define VHOST_USER_F_PROTOCOL_FEATURES 30

/* ---- Split rings: virtio, "Split Virtqueues" ---- */

/* "The Virtqueue Descriptor Table" */
struct vring_desc {
    le64 addr;
    le32 len;
    le16 flags; /* VRING_DESC_F_* */
    le16 next;
};

#define VRING_DESC_F_NEXT 1
#define VRING_DESC_F_WRITE 2 /* the device writes; otherwise it reads */
#define VRING_DESC_F_INDIRECT 4

/* "The Virtqueue Available Ring"; after ring[] one le16, used_event. */
struct vring_avail {
    le16 flags; /* VRING_AVAIL_F_* */
    le16 idx;
    le16 ring[];
};

#define VRING_AVAIL_F_NO_INTERRUPT 1

/* "The Virtqueue Used Ring"; after ring[] one le16, avail_event. */
struct vring_used_elem {
    le32 id;
    le32 len;
};

struct vring_used {
    le16 flags; /* VRING_USED_F_* */
    le16 idx;
    struct vring_used_elem ring[];
};

#define VRING_USED_F_NO_NOTIFY 1

/* ---- Packed rings: virtio, "Packed Virtqueues" ---- */

/* "The Virtqueue Descriptor Ring" and "... Used Buffers" */
struct vring_packed_desc {
    le64 addr;
    le32 len;
    le16 id;
    le16 flags; /* VRING_DESC_F_* and these: */
};

#define VRING_PACKED_DESC_F_AVAIL (1 << 7)
#define VRING_PACKED_DESC_F_USED (1 << 15)

/* "Event Suppression Structure Format" */
struct vring_packed_event {
    le16 off_wrap; /* offset in the ring, wrap counter in bit 15 */
    le16 flags;
};

#define VRING_PACKED_EVENT_ENABLE 0
#define VRING_PACKED_EVENT_DISABLE 1
#define VRING_PACKED_EVENT_DESC 2 /* at the place off_wrap says */

/* ---- Block: virtio, "Block Device" ---- */

/* "Feature bits" */
#define VIRTIO_BLK_F_SIZE_MAX 1
#define VIRTIO_BLK_F_SEG_MAX 2
#define VIRTIO_BLK_F_GEOMETRY 4
#define VIRTIO_BLK_F_RO 5
#define VIRTIO_BLK_F_BLK_SIZE 6
#define VIRTIO_BLK_F_FLUSH 9
#define VIRTIO_BLK_F_TOPOLOGY 10
#define VIRTIO_BLK_F_CONFIG_WCE 11
#define VIRTIO_BLK_F_MQ 12
#define VIRTIO_BLK_F_DISCARD 13
#define VIRTIO_BLK_F_WRITE_ZEROES 14
#define VIRTIO_BLK_F_LIFETIME 15
#define VIRTIO_BLK_F_SECURE_ERASE 16
#define VIRTIO_BLK_F_ZONED 17

#define VIRTIO_BLK_SECTOR_BYTES 512
#define VIRTIO_BLK_ID_BYTES 20 /* GET_ID; not terminated if full */

/* "Device configuration layout". Offsets are the spec's: no padding. */
struct virtio_blk_config {
    le64 capacity; /* sectors */
    le32 size_max;
    le32 seg_max;
    struct {
        le16 cylinders;
        uint8_t heads, sectors;
    } geometry;
    le32 blk_size; /* bytes */
    struct {
        uint8_t physical_block_exp; /* log2 of logical blocks */
        uint8_t alignment_offset;   /* logical blocks */
        le16 min_io_size;           /* logical blocks */
        le32 opt_io_size;           /* logical blocks */
    } topology;
    uint8_t writeback; /* CONFIG_WCE: 1 cached, 0 write-through */
    uint8_t unused0;
    le16 num_queues;
    le32 max_discard_sectors;
    le32 max_discard_seg;
    le32 discard_sector_alignment;
    le32 max_write_zeroes_sectors;
    le32 max_write_zeroes_seg;
    uint8_t write_zeroes_may_unmap;
    uint8_t unused1[3];
    le32 max_secure_erase_sectors;
    le32 max_secure_erase_seg;
    le32 secure_erase_sector_alignment;
} __attribute__((packed, aligned(4)));

/* "Device Operation" */
struct virtio_blk_req_head {
    le32 type; /* VIRTIO_BLK_T_* */
    le32 reserved;
    le64 sector;
};

#define VIRTIO_BLK_T_IN 0
#define VIRTIO_BLK_T_OUT 1
#define VIRTIO_BLK_T_FLUSH 4
#define VIRTIO_BLK_T_GET_ID 8
#define VIRTIO_BLK_T_GET_LIFETIME 10
#define VIRTIO_BLK_T_DISCARD 11
#define VIRTIO_BLK_T_WRITE_ZEROES 13
#define VIRTIO_BLK_T_SECURE_ERASE 14

/* A segment of DISCARD, WRITE_ZEROES and SECURE_ERASE. */
struct virtio_blk_range {
    le64 sector;
    le32 num_sectors;
    le32 flags; /* VIRTIO_BLK_RANGE_F_*, other bits must be 0 */
};

#define VIRTIO_BLK_RANGE_F_UNMAP 1 /* WRITE_ZEROES only */

/* The last byte of a request. */
#define VIRTIO_BLK_S_OK 0
#define VIRTIO_BLK_S_IOERR 1
#define VIRTIO_BLK_S_UNSUPP 2

/* ---- Input: virtio, "Input Device" ---- */

/* "Device configuration layout": values of select */
#define VIRTIO_INPUT_CFG_UNSET 0x00
#define VIRTIO_INPUT_CFG_ID_NAME 0x01
#define VIRTIO_INPUT_CFG_ID_SERIAL 0x02
#define VIRTIO_INPUT_CFG_ID_DEVIDS 0x03
#define VIRTIO_INPUT_CFG_PROP_BITS 0x10
#define VIRTIO_INPUT_CFG_EV_BITS 0x11
#define VIRTIO_INPUT_CFG_ABS_INFO 0x12

struct virtio_input_absinfo {
    le32 min, max, fuzz, flat, res;
};

struct virtio_input_devids {
    le16 bustype, vendor, product, version;
};

struct virtio_input_config {
    uint8_t select, subsel; /* the driver's; the rest is the answer */
    uint8_t size;           /* bytes of u that mean something */
    uint8_t reserved[5];
    union {
        char string[128]; /* not terminated */
        uint8_t bitmap[128];
        struct virtio_input_absinfo abs;
        struct virtio_input_devids ids;
    } u;
};

#define VIRTIO_INPUT_EVENTQ 0
#define VIRTIO_INPUT_STATUSQ 1

/* "Device Operation": a buffer of either queue */
struct virtio_input_event {
    le16 type, code;
    le32 value;
};

/* ---- SCSI: virtio, "SCSI Host Device" ---- */

#define VIRTIO_SCSI_CONTROLQ 0
#define VIRTIO_SCSI_EVENTQ 1
#define VIRTIO_SCSI_REQUESTQ 2 /* the first of them */

/* "Feature bits" */
#define VIRTIO_SCSI_F_INOUT 0
#define VIRTIO_SCSI_F_HOTPLUG 1
#define VIRTIO_SCSI_F_CHANGE 2
#define VIRTIO_SCSI_F_T10_PI 3

/* "Device configuration layout" */
struct virtio_scsi_config {
    le32 num_queues; /* request queues */
    le32 seg_max;
    le32 max_sectors;
    le32 cmd_per_lun;
    le32 event_info_size; /* bytes */
    le32 sense_size;      /* bytes; the driver may write it */
    le32 cdb_size;        /* bytes; likewise */
    le16 max_channel;
    le16 max_target;
    le32 max_lun;
};

#define VIRTIO_SCSI_SENSE_BYTES 96 /* until the driver says otherwise */
#define VIRTIO_SCSI_CDB_BYTES 32

/* "Device Operation: Request Queues": the head, then cdb_size bytes of CDB,
 * then data for the device. */
struct virtio_scsi_req_cmd {
    uint8_t lun[8];
    le64 id;
    uint8_t task_attr, prio, crn;
} __attribute__((packed));

/* What the device writes; then sense_size bytes, then data. */
struct virtio_scsi_resp_cmd {
    le32 sense_len;
    le32 residual;
    le16 status_qualifier;
    uint8_t status, response;
};

/* "Device Operation: controlq" */
#define VIRTIO_SCSI_T_TMF 0
#define VIRTIO_SCSI_T_AN_QUERY 1
#define VIRTIO_SCSI_T_AN_SUBSCRIBE 2

#define VIRTIO_SCSI_T_TMF_ABORT_TASK 0
#define VIRTIO_SCSI_T_TMF_ABORT_TASK_SET 1
#define VIRTIO_SCSI_T_TMF_CLEAR_ACA 2
#define VIRTIO_SCSI_T_TMF_CLEAR_TASK_SET 3
#define VIRTIO_SCSI_T_TMF_I_T_NEXUS_RESET 4
#define VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET 5
#define VIRTIO_SCSI_T_TMF_QUERY_TASK 6
#define VIRTIO_SCSI_T_TMF_QUERY_TASK_SET 7

struct virtio_scsi_ctrl_tmf_req {
    le32 type, subtype;
    uint8_t lun[8];
    le64 id;
} __attribute__((packed, aligned(4)));

struct virtio_scsi_ctrl_an_req {
    le32 type;
    uint8_t lun[8];
    le32 event_requested;
} __attribute__((packed, aligned(4)));

struct virtio_scsi_ctrl_an_resp {
    le32 event_actual;
    uint8_t response;
} __attribute__((packed));

/* Values of response; of a request, of task management, of both. */
#define VIRTIO_SCSI_S_OK 0
#define VIRTIO_SCSI_S_OVERRUN 1
#define VIRTIO_SCSI_S_ABORTED 2
#define VIRTIO_SCSI_S_BAD_TARGET 3
#define VIRTIO_SCSI_S_RESET 4
#define VIRTIO_SCSI_S_BUSY 5
#define VIRTIO_SCSI_S_TRANSPORT_FAILURE 6
#define VIRTIO_SCSI_S_TARGET_FAILURE 7
#define VIRTIO_SCSI_S_NEXUS_FAILURE 8
#define VIRTIO_SCSI_S_FAILURE 9
#define VIRTIO_SCSI_S_FUNCTION_COMPLETE 0
#define VIRTIO_SCSI_S_FUNCTION_SUCCEEDED 10
#define VIRTIO_SCSI_S_FUNCTION_REJECTED 11
#define VIRTIO_SCSI_S_INCORRECT_LUN 12

/* "Device Operation: eventq" */
struct virtio_scsi_event {
    le32 event;
    uint8_t lun[8];
    le32 reason;
} __attribute__((packed, aligned(4)));

#define VIRTIO_SCSI_T_EVENTS_MISSED UINT32_C(0x80000000)
#define VIRTIO_SCSI_T_NO_EVENT 0
#define VIRTIO_SCSI_T_TRANSPORT_RESET 1
#define VIRTIO_SCSI_T_ASYNC_NOTIFY 2
#define VIRTIO_SCSI_T_PARAM_CHANGE 3
#define VIRTIO_SCSI_EVT_RESET_HARD 0
#define VIRTIO_SCSI_EVT_RESET_RESCAN 1
#define VIRTIO_SCSI_EVT_RESET_REMOVED 2

/* ---- GPU: virtio, "GPU Device" ---- */

#define VIRTIO_GPU_CONTROLQ 0
#define VIRTIO_GPU_CURSORQ 1

/* "Feature bits" */
#define VIRTIO_GPU_F_VIRGL 0
#define VIRTIO_GPU_F_EDID 1
#define VIRTIO_GPU_F_RESOURCE_UUID 2
#define VIRTIO_GPU_F_RESOURCE_BLOB 3
#define VIRTIO_GPU_F_CONTEXT_INIT 4

/* "Device configuration layout" */
struct virtio_gpu_config {
    le32 events_read;  /* VIRTIO_GPU_EVENT_* */
    le32 events_clear; /* the driver's: bits written here leave events_read */
    le32 num_scanouts;
    le32 num_capsets;
};

#define VIRTIO_GPU_EVENT_DISPLAY 1u
#define VIRTIO_GPU_MAX_SCANOUTS 16

/* "Device Operation: Request header": what each request and each response
 * begins with. */
struct virtio_gpu_ctrl_hdr {
    le32 type;  /* VIRTIO_GPU_CMD_*, VIRTIO_GPU_RESP_* */
    le32 flags; /* VIRTIO_GPU_FLAG_* */
    le64 fence_id;
    le32 ctx_id;
    uint8_t ring_idx;
    uint8_t padding[3];
};

#define VIRTIO_GPU_FLAG_FENCE 1u
#define VIRTIO_GPU_FLAG_INFO_RING_IDX 2u

#define VIRTIO_GPU_CMD_GET_DISPLAY_INFO 0x0100
#define VIRTIO_GPU_CMD_RESOURCE_CREATE_2D 0x0101
#define VIRTIO_GPU_CMD_RESOURCE_UNREF 0x0102
#define VIRTIO_GPU_CMD_SET_SCANOUT 0x0103
#define VIRTIO_GPU_CMD_RESOURCE_FLUSH 0x0104
#define VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D 0x0105
#define VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING 0x0106
#define VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING 0x0107
#define VIRTIO_GPU_CMD_GET_CAPSET_INFO 0x0108
#define VIRTIO_GPU_CMD_GET_CAPSET 0x0109
#define VIRTIO_GPU_CMD_GET_EDID 0x010a
#define VIRTIO_GPU_CMD_RESOURCE_ASSIGN_UUID 0x010b
#define VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB 0x010c
#define VIRTIO_GPU_CMD_SET_SCANOUT_BLOB 0x010d
#define VIRTIO_GPU_CMD_UPDATE_CURSOR 0x0300
#define VIRTIO_GPU_CMD_MOVE_CURSOR 0x0301

#define VIRTIO_GPU_RESP_OK_NODATA 0x1100
#define VIRTIO_GPU_RESP_OK_DISPLAY_INFO 0x1101
#define VIRTIO_GPU_RESP_OK_EDID 0x1104
#define VIRTIO_GPU_RESP_OK_RESOURCE_UUID 0x1105
#define VIRTIO_GPU_RESP_ERR_UNSPEC 0x1200
#define VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY 0x1201
#define VIRTIO_GPU_RESP_ERR_INVALID_SCANOUT_ID 0x1202
#define VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID 0x1203
#define VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER 0x1205

/* "Device Operation: controlq" */
struct virtio_gpu_rect {
    le32 x, y, width, height; /* pixels */
};

struct virtio_gpu_display_one {
    struct virtio_gpu_rect r;
    le32 enabled, flags;
};

struct virtio_gpu_resp_display_info {
    struct virtio_gpu_ctrl_hdr hdr;
    struct virtio_gpu_display_one pmodes[VIRTIO_GPU_MAX_SCANOUTS];
};

struct virtio_gpu_get_edid {
    struct virtio_gpu_ctrl_hdr hdr;
    le32 scanout, padding;
};

#define VIRTIO_GPU_EDID_BYTES 1024

struct virtio_gpu_resp_edid {
    struct virtio_gpu_ctrl_hdr hdr;
    le32 size, padding; /* bytes of edid that mean something */
    uint8_t edid[VIRTIO_GPU_EDID_BYTES];
};

/* Bytes of a pixel in memory, the first one first. */
#define VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM 1
#define VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM 2
#define VIRTIO_GPU_FORMAT_A8R8G8B8_UNORM 3
#define VIRTIO_GPU_FORMAT_X8R8G8B8_UNORM 4
#define VIRTIO_GPU_FORMAT_R8G8B8A8_UNORM 67
#define VIRTIO_GPU_FORMAT_X8B8G8R8_UNORM 68
#define VIRTIO_GPU_FORMAT_A8B8G8R8_UNORM 121
#define VIRTIO_GPU_FORMAT_R8G8B8X8_UNORM 134

struct virtio_gpu_resource_create_2d {
    struct virtio_gpu_ctrl_hdr hdr;
    le32 resource_id, format, width, height;
};

/* UNREF, DETACH_BACKING, ASSIGN_UUID */
struct virtio_gpu_resource_ref {
    struct virtio_gpu_ctrl_hdr hdr;
    le32 resource_id, padding;
};

struct virtio_gpu_set_scanout {
    struct virtio_gpu_ctrl_hdr hdr;
    struct virtio_gpu_rect r;
    le32 scanout_id, resource_id; /* resource 0: off */
};

struct virtio_gpu_resource_flush {
    struct virtio_gpu_ctrl_hdr hdr;
    struct virtio_gpu_rect r;
    le32 resource_id, padding;
};

struct virtio_gpu_transfer_to_host_2d {
    struct virtio_gpu_ctrl_hdr hdr;
    struct virtio_gpu_rect r;
    le64 offset; /* bytes, in the backing: of the first pixel of r */
    le32 resource_id, padding;
};

struct virtio_gpu_mem_entry {
    le64 addr;
    le32 length, padding;
};

/* entries follow */
struct virtio_gpu_resource_attach_backing {
    struct virtio_gpu_ctrl_hdr hdr;
    le32 resource_id, nr_entries;
};

struct virtio_gpu_resp_resource_uuid {
    struct virtio_gpu_ctrl_hdr hdr;
    uint8_t uuid[16];
};

#define VIRTIO_GPU_BLOB_MEM_GUEST 1

#define VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE 1u
#define VIRTIO_GPU_BLOB_FLAG_USE_SHAREABLE 2u
#define VIRTIO_GPU_BLOB_FLAG_USE_CROSS_DEVICE 4u

/* entries follow */
struct virtio_gpu_resource_create_blob {
    struct virtio_gpu_ctrl_hdr hdr;
    le32 resource_id, blob_mem, blob_flags, nr_entries;
    le64 blob_id, size; /* size: bytes */
};

struct virtio_gpu_set_scanout_blob {
    struct virtio_gpu_ctrl_hdr hdr;
    struct virtio_gpu_rect r;
    le32 scanout_id, resource_id, width, height, format, padding;
    le32 strides[4], offsets[4]; /* bytes, by plane; our formats have one */
};

/* "Device Operation: cursorq" */
struct virtio_gpu_cursor_pos {
    le32 scanout_id, x, y, padding;
};

#define VIRTIO_GPU_CURSOR_PIXELS 64 /* wide and high */

struct virtio_gpu_update_cursor {
    struct virtio_gpu_ctrl_hdr hdr;
    struct virtio_gpu_cursor_pos pos;
    le32 resource_id, hot_x, hot_y, padding; /* resource 0: none is shown */
};

_Static_assert(sizeof(struct vring_desc) == 16, "spec");
_Static_assert(sizeof(struct vring_packed_desc) == 16, "spec");
_Static_assert(sizeof(struct vring_used_elem) == 8, "spec");
_Static_assert(sizeof(struct virtio_blk_req_head) == 16, "spec");
_Static_assert(sizeof(struct virtio_blk_range) == 16, "spec");
_Static_assert(offsetof(struct virtio_blk_config, geometry) == 16, "spec");
_Static_assert(offsetof(struct virtio_blk_config, writeback) == 32, "spec");
_Static_assert(offsetof(struct virtio_blk_config, num_queues) == 34, "spec");
_Static_assert(offsetof(struct virtio_blk_config, max_discard_seg) == 40,
               "spec");
_Static_assert(offsetof(struct virtio_blk_config, max_secure_erase_sectors) ==
                   60,
               "spec");
_Static_assert(sizeof(struct virtio_blk_config) == 72, "spec");
_Static_assert(offsetof(struct virtio_input_config, u) == 8, "spec");
_Static_assert(sizeof(struct virtio_input_config) == 136, "spec");
_Static_assert(sizeof(struct virtio_input_event) == 8, "spec");
_Static_assert(sizeof(struct virtio_scsi_config) == 36, "spec");
_Static_assert(sizeof(struct virtio_scsi_req_cmd) == 19, "spec");
_Static_assert(sizeof(struct virtio_scsi_resp_cmd) == 12, "spec");
_Static_assert(sizeof(struct virtio_scsi_ctrl_tmf_req) == 24, "spec");
_Static_assert(sizeof(struct virtio_scsi_ctrl_an_req) == 16, "spec");
_Static_assert(sizeof(struct virtio_scsi_ctrl_an_resp) == 5, "spec");
_Static_assert(sizeof(struct virtio_scsi_event) == 16, "spec");
_Static_assert(sizeof(struct virtio_gpu_config) == 16, "spec");
_Static_assert(sizeof(struct virtio_gpu_ctrl_hdr) == 24, "spec");
_Static_assert(sizeof(struct virtio_gpu_resp_display_info) == 408, "spec");
_Static_assert(sizeof(struct virtio_gpu_resp_edid) == 1056, "spec");
_Static_assert(sizeof(struct virtio_gpu_resource_create_2d) == 40, "spec");
_Static_assert(sizeof(struct virtio_gpu_set_scanout) == 48, "spec");
_Static_assert(sizeof(struct virtio_gpu_transfer_to_host_2d) == 56, "spec");
_Static_assert(sizeof(struct virtio_gpu_mem_entry) == 16, "spec");
_Static_assert(sizeof(struct virtio_gpu_resource_create_blob) == 56, "spec");
_Static_assert(sizeof(struct virtio_gpu_set_scanout_blob) == 96, "spec");
_Static_assert(sizeof(struct virtio_gpu_update_cursor) == 56, "spec");

#endif
