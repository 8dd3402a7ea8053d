/* Guest tool of the Yamori lab: what its parts share. */
#ifndef YAMORI_GUEST_H
#define YAMORI_GUEST_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define DISK "/dev/vda"
#define BLOCK 4096u
#define PAGE 4096u

enum { CONTROL_PORT = 7001, SERVICE_PORT = 7100 };

/* Nanoseconds of the monotonic clock. */
uint64_t now_ns(void);

/* xorshift64*: the next pseudo-random number of a stream; the state must not be 0. */
uint64_t next_random(uint64_t *state);

/* Serve requests on the UDP service port for ever; working set in MiB. */
int serve_requests(size_t working_set_mib);

/* Serve control commands on the TCP control port for ever. */
int serve_control(void);

/* What an attack shall do; kind is cpu, memory or disk. */
struct attack {
    char kind[16];
    unsigned threads;
    unsigned seconds;
};

/* Run the attack in the calling process until its time is over; returns an exit status. */
int run_attack(const struct attack *wanted);

#endif
