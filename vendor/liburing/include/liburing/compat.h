/* What liburing's `configure` would find out about the kernel headers that Zig carries:
 * they have all it asks for. */
#pragma once
#include <linux/blkdev.h>
#include <linux/openat2.h>
#include <linux/time_types.h>
#define UAPI_LINUX_IO_URING_H_SKIP_LINUX_TIME_TYPES_H 1
