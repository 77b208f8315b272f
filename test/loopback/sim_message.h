/* Reads HTTP/1 messages as the ends of a simulation see them: not the codec that it judges. */
#pragma once

#include "base/strbuf.h"

enum sim_parse { SIM_WHOLE, SIM_PART, SIM_BAD, SIM_NOTHING };

struct sim_message {
    unsigned status;    /* of an answer */
    struct bytes line;  /* the first */
    struct strbuf body; /* without chunk lines */
    bool head_done, to_eof;
    bool tunnel; /* what follows the head is no body, and ends with the connection */
};

/* Takes the next message from *rest. Informational answers are passed over. no_body: to HEAD.
 * ended: no more bytes will come. SIM_NOTHING: not a single byte. */
enum sim_parse sim_message_parse(struct bytes *rest, bool answer, bool no_body, bool ended,
                                 struct sim_message *m);
void sim_message_fini(struct sim_message *m);
