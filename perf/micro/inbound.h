/* perf/micro/inbound.h: `ringcast-micro inbound`: what a chat message costs on its way in, part by
 * part, beside yyjson's own reading of it. */
#pragma once

int inbound_main(int argc, char **argv);
