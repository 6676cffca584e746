#include "http/forwarded.h"

/* Takes the last element off a list, without the white space around it; empty ones are skipped. */
static bool take_last(struct text *list, struct text *element)
{
    while (list->size > 0) {
        size_t start = list->size;
        while (start > 0 && list->data[start - 1] != ',')
            start -= 1;
        *element = text_trim(text_skip(*list, start));
        list->size = start > 0 ? start - 1 : 0;
        if (element->size > 0) return true;
    }
    return false;
}

enum http_forwarded_answer http_forwarded(const struct http_request *request,
                                          const struct address_blocks *trusted,
                                          struct address *client)
{
    enum http_forwarded_answer answer = HTTP_FORWARDED_NONE;
    /* Several lines are one list, in their order (RFC 9110 §5.3). */
    for (size_t i = request->header_count; i-- > 0;) {
        struct text list = request->headers[i].value, element;
        if (!text_equal_nocase(request->headers[i].name, TEXT("X-Forwarded-For"))) continue;
        while (take_last(&list, &element)) {
            if (!address_host_parse(element, client)) return HTTP_FORWARDED_BROKEN;
            answer = HTTP_FORWARDED_CLIENT;
            if (!address_blocks_hold(trusted, client)) return answer;
        }
    }
    return answer;
}
