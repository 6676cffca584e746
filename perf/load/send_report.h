/* perf/load/send_report.h: what a run of `ringcast-bench send` has shown. */
#pragma once
#include "senders.h"
#include <stdio.h>

uint32_t senders_count_in(const struct senders *senders, enum client_phase phase);

/* Something was to come back and has not yet. */
bool senders_are_waiting(const struct senders *senders);

/* A window's figures, as JSON whose last line is a brace alone. */
void send_report_window(const struct senders *senders, FILE *out);

/* One line of what is going on, that many seconds from the start. */
void send_report_progress(const struct senders *senders, uint64_t seconds, FILE *out);
