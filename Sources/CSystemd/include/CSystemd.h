#pragma once

#include <stddef.h>
#include <stdint.h>

// The few functions of libsystemd that the daemon calls. Its own headers would make those of
// sockets part of this module, and Swift would look for them there.

/// sd_notify(3).
int banana_sd_notify(const char *assignments);
/// sd_watchdog_enabled(3).
int banana_sd_watchdog_enabled(uint64_t *microseconds);
/// sd_listen_fds_with_names(3); forgets the environment it read. The first descriptor is 3.
int banana_sd_listen_fds(char ***names);
/// Whether a descriptor is a listening Unix stream socket: sd_is_socket(3).
int banana_sd_is_listening(int descriptor);
/// Whether standard error leads to the journal, as its JOURNAL_STREAM says: systemd.exec(5).
int banana_sd_is_journal(void);
/// sd_journal_sendv(3): one entry of `count` fields that lie one after another in `fields`.
int banana_sd_journal_send(const uint8_t *fields, const size_t *lengths, int count);
