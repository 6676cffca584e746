#include "http/upgrade.h"
#include <assert.h>
#include <bearssl_hash.h>

static const struct {
    uint16_t status;
    struct text code;
    struct text sentence;
} refusals[] = {
#define X(name, status, code, sentence) \
    [HTTP_REFUSE_##name] = {status, {code, sizeof(code) - 1}, {sentence, sizeof(sentence) - 1}},
    HTTP_REFUSALS(X)
#undef X
};
constexpr size_t refusal_count = sizeof refusals / sizeof refusals[0];

/* RFC 4648 §4. */
static const char base64_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr size_t base64_alphabet_size = sizeof base64_alphabet - 1;

/* The value of a header that must come exactly once, or the empty text. */
static struct text only_value(const struct http_request *request, struct text name)
{
    size_t count;
    const struct http_header *header = http_find(request, name, &count);
    return count == 1 ? header->value : (struct text){};
}

/* RFC 6455 §4.2.1 items 3 and 4. */
static bool asks_for_websocket(const struct http_request *request)
{
    return http_has_token(request, TEXT("Upgrade"), TEXT("websocket")) &&
           http_has_token(request, TEXT("Connection"), TEXT("upgrade"));
}

/* RFC 6455 §4.2.1 item 5: base64 that decodes to 16 bytes, so 22 digits and "==". The last digit
 * has four bits too many; they need not be zero, since the key is hashed as it was sent and nobody
 * decodes it. */
static bool key_valid(struct text key)
{
    if (key.size != 24 || key.data[22] != '=' || key.data[23] != '=') return false;
    for (size_t i = 0; i < 22; i++)
        if (memchr(base64_alphabet, key.data[i], base64_alphabet_size) == nullptr) return false;
    return true;
}

/* The start of an origin or authority without `port`, when it ends with that. */
static struct text without_port(struct text authority, struct text port)
{
    bool ends = authority.size >= port.size &&
                text_equal(text_skip(authority, authority.size - port.size), port);
    return (struct text){authority.data, ends ? authority.size - port.size : authority.size};
}

struct scheme {
    struct text prefix;
    struct text default_port;
};
static const struct scheme http = {{"http://", 7}, {":80", 3}};
static const struct scheme https = {{"https://", 8}, {":443", 4}};

static bool has_scheme(struct text origin, const struct scheme *scheme)
{
    size_t size = scheme->prefix.size;
    return origin.size >= size &&
           text_equal_nocase((struct text){origin.data, size}, scheme->prefix);
}

/* RFC 6454 §4: the scheme's own port is left out. */
static struct text without_default_port(struct text origin)
{
    if (has_scheme(origin, &http)) return without_port(origin, http.default_port);
    if (has_scheme(origin, &https)) return without_port(origin, https.default_port);
    return origin;
}

/* True when `origin` is that scheme before `host`, which is never empty. */
static bool is_own_origin(struct text origin, const struct scheme *scheme, struct text host)
{
    if (!has_scheme(origin, scheme)) return false;
    struct text authority =
        without_port(text_skip(origin, scheme->prefix.size), scheme->default_port);
    return text_equal_nocase(authority, without_port(host, scheme->default_port));
}

/* An opaque origin has no scheme: "null", or nothing at all. */
static bool is_opaque(struct text origin)
{
    return origin.size == 0 || text_equal_nocase(origin, TEXT("null"));
}

/* RFC 6455 §4.2.2 item 4, §10.2; THREATS.md H7. Whole texts are compared, never a start or an end:
 * good.com.evil.com and evil-good.com differ from good.com like any other. */
bool http_origin_allowed(const struct http_request *request,
                         const struct http_upgrade_policy *policy)
{
    size_t count;
    const struct http_header *header = http_find(request, TEXT("Origin"), &count);
    if (count == 0) return true;
    if (count > 1) return false;
    if (policy->any_origin) return true;
    if (is_opaque(header->value)) return false;
    struct text host = only_value(request, TEXT("Host"));
    if (host.size > 0 &&
        (is_own_origin(header->value, &http, host) || is_own_origin(header->value, &https, host)))
        return true;
    struct text origin = without_default_port(header->value);
    for (size_t i = 0; i < policy->origin_count; i++)
        if (text_equal_nocase(origin, without_default_port(policy->origins[i]))) return true;
    return false;
}

/* The subprotocols that a request offers, in its order. */
struct offer {
    struct text names[http_protocols_max];
    size_t count;
};

static bool offer_add(struct offer *offer, struct text name)
{
    if (offer->count == http_protocols_max || !http_is_token(name)) return false;
    for (size_t i = 0; i < offer->count; i++) // §4.1 item 10: they MUST be unique
        if (text_equal(offer->names[i], name)) return false;
    offer->names[offer->count++] = name;
    return true;
}

/* Gathers all Sec-WebSocket-Protocol headers: §11.3.4 lets the list come in several. False when one
 * of them is not a list of different tokens. */
static bool read_offer(const struct http_request *request, struct offer *offer)
{
    offer->count = 0;
    for (size_t i = 0; i < request->header_count; i++) {
        const struct http_header *header = &request->headers[i];
        if (!text_equal_nocase(header->name, TEXT("Sec-WebSocket-Protocol"))) continue;
        size_t before = offer->count;
        struct text list = header->value, name;
        while (http_list_next(&list, &name))
            if (!offer_add(offer, name)) return false;
        if (offer->count == before) return false; // 1#token: a list has at least one
    }
    return true;
}

/* The client's order decides; an offer that holds nothing known is refused. */
static enum http_refusal choose_protocol(const struct http_request *request,
                                         const struct http_upgrade_policy *policy,
                                         struct text *protocol)
{
    struct offer offer;
    *protocol = (struct text){};
    if (!read_offer(request, &offer)) return HTTP_REFUSE_PROTOCOL_SYNTAX;
    for (size_t i = 0; i < offer.count; i++)
        for (size_t j = 0; j < policy->protocol_count; j++)
            if (text_equal(offer.names[i], policy->protocols[j])) {
                *protocol = policy->protocols[j];
                return HTTP_UPGRADE_OK;
            }
    return offer.count == 0 ? HTTP_UPGRADE_OK : HTTP_REFUSE_PROTOCOL;
}

/* RFC 7692 §5. */
static enum http_refusal choose_extension(const struct http_request *request,
                                          const struct http_upgrade_policy *policy,
                                          struct http_deflate *deflate)
{
    if (!http_deflate_choose(request, deflate)) return HTTP_REFUSE_EXTENSION_SYNTAX;
    if (!policy->deflate) *deflate = (struct http_deflate){};
    return HTTP_UPGRADE_OK;
}

/* The 20 bytes of a digest in base64: 27 digits and one '='. */
static void encode_digest(const uint8_t digest[static br_sha1_SIZE], char encoded[static 28])
{
    for (size_t group = 0; group < 7; group++) {
        const uint8_t *from = digest + group * 3;
        uint32_t third = group < 6 ? from[2] : 0; // the last group has two bytes
        uint32_t bits = (uint32_t)from[0] << 16 | (uint32_t)from[1] << 8 | third;
        for (size_t i = 0; i < 4; i++)
            encoded[group * 4 + i] = base64_alphabet[bits >> (18 - 6 * i) & 63];
    }
    encoded[27] = '=';
}

/* RFC 6455 §4.2.2 item 5.4. */
static void make_accept(struct text key, char accept[static 28])
{
    static const char suffix[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t digest[br_sha1_SIZE];
    br_sha1_context hash;
    br_sha1_init(&hash);
    br_sha1_update(&hash, key.data, key.size);
    br_sha1_update(&hash, suffix, sizeof suffix - 1);
    br_sha1_out(&hash, digest);
    encode_digest(digest, accept);
}

enum http_refusal http_upgrade_check(const struct http_request *request,
                                     const struct http_upgrade_policy *policy,
                                     struct http_upgrade *upgrade)
{
    if (!text_equal(request->method, TEXT("GET"))) return HTTP_REFUSE_METHOD;
    if (request->version_minor == 0) return HTTP_REFUSE_VERSION_OLD;
    if (!asks_for_websocket(request)) return HTTP_REFUSE_NO_UPGRADE;
    struct text version = only_value(request, TEXT("Sec-WebSocket-Version"));
    if (!text_equal(version, TEXT("13"))) return HTTP_REFUSE_WS_VERSION;
    struct text key = only_value(request, TEXT("Sec-WebSocket-Key"));
    if (!key_valid(key)) return HTTP_REFUSE_KEY;
    if (!http_origin_allowed(request, policy)) return HTTP_REFUSE_ORIGIN;
    enum http_refusal refusal = choose_protocol(request, policy, &upgrade->protocol);
    if (refusal == HTTP_UPGRADE_OK) refusal = choose_extension(request, policy, &upgrade->deflate);
    if (refusal == HTTP_UPGRADE_OK) make_accept(key, upgrade->accept);
    return refusal;
}

uint16_t http_refusal_status(enum http_refusal refusal)
{
    assert(refusal != HTTP_UPGRADE_OK && refusal < refusal_count);
    return refusals[refusal].status;
}

struct text http_refusal_code(enum http_refusal refusal)
{
    assert(refusal != HTTP_UPGRADE_OK && refusal < refusal_count);
    return refusals[refusal].code;
}

struct text http_refusal_sentence(enum http_refusal refusal)
{
    assert(refusal != HTTP_UPGRADE_OK && refusal < refusal_count);
    return refusals[refusal].sentence;
}
