/* tests/ring_sim_worlds.h: one script of operations on two rings, the running kernel's and the
 * simulated one. Both must leave the same transcript, so that the simulation cannot drift from what
 * it imitates. tests/sim/KERNEL.md says which test shows what.
 *
 *     script > ring.h > uring.c > kernel, loopback > a socket of the test > \
 *                                                                            transcript
 *     script > ring.h > sim.c > pipes >              a peer of sim.h >       /
 *
 * A script finds a listening socket and one connection accepted from it. It ends with nothing
 * armed, and closes what it has accepted itself. No script sleeps: who waits does it in ring_wait
 * or poll, for an event that must come, or for a moment in which none may. */
#pragma once
#include "check.h"
#include "ring/sim.h"

/* What is different from the plain world, where there are no faults. */
struct script_options {
    uint32_t receive_buffers; /* of 16 bytes each; 0: two of them */
    uint32_t user_timeout_ms; /* 0: a minute */
    bool shared;              /* the listening socket shares its address */
    uint32_t descriptors;     /* so many in the simulation; on the kernel limit_descriptors is it */
    struct sim_faults faults; /* of the simulation */
};

/* Runs the script in both worlds. The transcripts must be the same, and not empty. */
void compare_worlds(const char *file, int line, void (*script)(void),
                    const struct script_options *options);
#define COMPARE(script, ...) \
    compare_worlds(__FILE__, __LINE__, script, &(const struct script_options){__VA_ARGS__})

/* What a script works on. */
struct stage {
    struct ring ring;
    struct address address; /* of the listening socket */
    int listening;
    int near_fd; /* our end of the connection; a script that closes it sets it to -1 */
    int peer;    /* who is at the other end */
};
extern struct stage stage;

/* Its generation is larger than the 24 bits that are kept. */
struct ring_token token(enum ring_op op, uint32_t slot);

/* --- The transcript --------------------------------------------------------------------------- */

[[gnu::format(printf, 1, 2)]] void say(const char *format, ...);

/* The next event, within a few seconds; says what it is. Its buffer stays out until give_all. A
 * descriptor is said as 0. */
struct ring_event next(void);

/* The same without a word, for what may differ. */
struct ring_event next_unsaid(void);

/* So many events that may come in either order. */
void next_in_any_order(uint32_t count);

/* Says whether something comes for a moment. */
void quiet(void);

void give_all(void);
void forget_held(void); /* the script has given them back itself */

/* --- What is usual in scripts ----------------------------------------------------------------- */

void arm_receive(uint32_t slot, bool once); /* on near_fd; submitted */
void cancel_receive(uint32_t slot);         /* says both events */
void send_text(uint32_t slot, const char *text);
void send_text_now(uint32_t slot, const char *text); /* submitted */

/* Sends until nothing more is taken, now or a moment later. Nothing may be armed. */
void fill(void);

/* So many completions that nobody has taken lie in the queue, of cancels in this slot that find
 * nothing. The queue has room for `queue_size`. */
constexpr uint32_t queue_size = 32;
void crowd(uint32_t slot, uint32_t count);

/* Accepts a connection that waits or soon will; its descriptor. */
int accept_soon(void);

/* --- The world at the other end --------------------------------------------------------------- */

int far_connect(void);         /* a peer */
int far_connect_above(int fd); /* on the kernel its own descriptor is a higher one than this */
bool far_is_refused(void);
void far_write(int peer, const char *text); /* it finds room */
void far_write_into_nothing(int peer);      /* nobody receives any more */

/* Says what it hears, until that are so many bytes or there is an end. */
void far_hears(int peer, uint32_t size);

/* Takes what has come; the number of bytes. */
uint32_t far_takes(int peer);

void far_end(int peer);    /* sends nothing more */
void far_leave(int peer);  /* closes */
void far_reset(int peer);  /* closes with a reset */
void far_vanish(int peer); /* hears and says nothing from now on */

/* From now on no descriptor can be had unless one is closed; or again as many as before. */
void limit_descriptors(bool limited);

/* Waits are disturbed from now on, or no more: by signals, and in the simulation by its fault. */
void disturb(bool disturbed);

/* A descriptor for ring_write that has room for some 4 KiB. */
int open_log(void);

/* Our machine's port is listened on once more; a descriptor or -errno. */
int listen_again(bool shared);

/* --- Inside: what each world is (ring_sim_worlds.c), for whom runs scripts (ring_sim_stage.c)
 * --- */

constexpr uint64_t patience_ns = 3'000'000'000; /* what must come comes within this time */

struct world {
    const char *name;
    uint16_t port;
    void (*begin)(const struct script_options *options);
    void (*finish)(void);
    void (*reserve)(struct ring *ring, struct arena *arena, const struct ring_config *config);
    int (*connect)(void); /* negative: refused */
    bool (*write)(int peer, const char *data, uint32_t size);
    int32_t (*read)(int peer, uint8_t *data, uint32_t size, bool waits); /* as sim_peer_read */
    void (*end)(int peer);
    void (*leave)(int peer);
    void (*reset)(int peer);
    void (*vanish)(int peer);
    void (*limit)(bool limited);
    void (*disturb)(bool disturbed);
    int (*open_log)(void);
    bool (*is_acknowledged)(void); /* nothing is on its way that may make room later */
};
extern const struct world world_kernel, world_simulated;

/* Ends it all: what would follow says nothing. */
[[noreturn]] void stage_fail(void *context, const char *sentence);
