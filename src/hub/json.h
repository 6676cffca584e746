/* hub/json.h: JSON from strangers, read by yyjson behind a check of its depth, with duplicate
 * keys refused. RFC 8259. */
#pragma once
#include "base/bytes.h"

constexpr uint32_t json_depth_max = 16;
constexpr size_t json_document_max = 4 * 1024; /* bytes of one document */

/* True when no array or object in `document` lies deeper than json_depth_max. Counts brackets
 * outside strings; the document need not be valid. */
bool json_is_shallow(struct text document);

/* Reads an object and finds its string member `name`. Returns an empty text and sets *value, or
 * a sentence that says what is wrong with the document. *value lies in memory of this thread and
 * is valid until the next call; it holds no NUL. Other members are ignored. */
[[nodiscard]] struct text json_read_string_member(struct text document, struct text name,
                                                  struct text *value);
