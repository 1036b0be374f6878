/* Preloaded into the program under test: counts what it does to files below $FAULT_BELOW, and at operation $FAULT_AT does
 * what $FAULT_HOW says: `kill` ends the process before the operation, `half` after half of a write, `term` sends SIGTERM,
 * `enospc` and `eio` let the operation fail, once. The number of operations is kept in the file $FAULT_COUNT. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

enum outcome { PASS, FAIL, HALF };

#define FILES 4096
static atomic_int operations;
static atomic_char below_mark[FILES]; /* descriptors of files below the folder */

static int is_below(const char *path) {
    const char *below = getenv("FAULT_BELOW");
    return below && path && strstr(path, below) != NULL;
}

static enum outcome next_operation(void) {
    const char *at = getenv("FAULT_AT"), *how = getenv("FAULT_HOW"), *count = getenv("FAULT_COUNT");
    int number = atomic_fetch_add(&operations, 1) + 1;
    if (count) {
        char text[16];
        int length = snprintf(text, sizeof text, "%d\n", number);
        int file = syscall(SYS_openat, AT_FDCWD, count, O_CREAT | O_WRONLY | O_TRUNC, 0644);
        if (file >= 0) {
            syscall(SYS_write, file, text, length);
            syscall(SYS_close, file);
        }
    }
    if (!at || !how || number != atoi(at)) return PASS;
    if (!strcmp(how, "kill")) kill(getpid(), SIGKILL);
    if (!strcmp(how, "term")) kill(getpid(), SIGTERM);
    if (!strcmp(how, "half")) return HALF;
    if (!strcmp(how, "enospc")) { errno = ENOSPC; return FAIL; }
    if (!strcmp(how, "eio")) { errno = EIO; return FAIL; }
    return PASS;
}

static int opened(int folder, const char *path, int flags, mode_t mode) {
    int writes = flags & (O_CREAT | O_WRONLY | O_RDWR | O_TRUNC);
    int counts = writes && is_below(path);
    if (counts && next_operation() == FAIL) return -1;
    int file = syscall(SYS_openat, folder, path, flags, mode);
    if (file >= 0 && file < FILES) below_mark[file] = counts;
    return file;
}

static mode_t mode_of(int flags, va_list rest) {
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
}

#define OPEN(name, head, folder, path, flags)                       \
    int name head {                                                 \
        va_list rest;                                               \
        va_start(rest, flags);                                      \
        mode_t mode = mode_of(flags, rest);                         \
        va_end(rest);                                               \
        return opened(folder, path, flags, mode);                   \
    }
OPEN(open, (const char *path, int flags, ...), AT_FDCWD, path, flags)
OPEN(open64, (const char *path, int flags, ...), AT_FDCWD, path, flags)
OPEN(openat, (int folder, const char *path, int flags, ...), folder, path, flags)
OPEN(openat64, (int folder, const char *path, int flags, ...), folder, path, flags)

static int counts(int file) { return file >= 0 && file < FILES && below_mark[file]; }

int close(int file) {
    if (file >= 0 && file < FILES) below_mark[file] = 0;
    return syscall(SYS_close, file);
}

ssize_t write(int file, const void *bytes, size_t length) {
    if (counts(file)) switch (next_operation()) {
        case FAIL: return -1;
        case HALF:
            syscall(SYS_write, file, bytes, length / 2);
            kill(getpid(), SIGKILL);
        default: break;
    }
    return syscall(SYS_write, file, bytes, length);
}

int fsync(int file) { return counts(file) && next_operation() == FAIL ? -1 : syscall(SYS_fsync, file); }
int fdatasync(int file) { return counts(file) && next_operation() == FAIL ? -1 : syscall(SYS_fdatasync, file); }

int rename(const char *from, const char *to) {
    if (is_below(to) && next_operation() == FAIL) return -1;
    return syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
}

int unlink(const char *path) {
    if (is_below(path) && next_operation() == FAIL) return -1;
    return syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

int mkdir(const char *path, mode_t mode) {
    if (is_below(path) && next_operation() == FAIL) return -1;
    return syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}
