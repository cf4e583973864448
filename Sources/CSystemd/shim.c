#include "CSystemd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>
// The place in the source says nothing when all of the log comes through one function.
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

enum { maximum_fields = 64 };

int banana_sd_notify(const char *assignments) { return sd_notify(0, assignments); }

int banana_sd_watchdog_enabled(uint64_t *microseconds) {
    return sd_watchdog_enabled(0, microseconds);
}

int banana_sd_listen_fds(char ***names) { return sd_listen_fds_with_names(1, names); }

int banana_sd_is_listening(int descriptor) {
    return sd_is_socket(descriptor, AF_UNIX, SOCK_STREAM, 1);
}

int banana_sd_is_journal(void) {
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat facts;
    char expected[64];
    if (stream == NULL || fstat(STDERR_FILENO, &facts) != 0) { return 0; }
    snprintf(
        expected, sizeof expected, "%llu:%llu", (unsigned long long)facts.st_dev,
        (unsigned long long)facts.st_ino);
    return strcmp(stream, expected) == 0;
}

int banana_sd_journal_send(const uint8_t *fields, const size_t *lengths, int count) {
    struct iovec entry[maximum_fields];
    if (count > maximum_fields) { return -E2BIG; }
    for (int i = 0; i < count; i++) {
        entry[i] = (struct iovec){(void *)fields, lengths[i]};
        fields += lengths[i];
    }
    return sd_journal_sendv(entry, count);
}
