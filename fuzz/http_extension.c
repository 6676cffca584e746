/* fuzz/http_extension.c: what a handshake offers in Sec-WebSocket-Extensions, judged a second time
 * from lexemes; and what is answered must be a list of extensions with nothing in it that was not
 * offered. Input: the values of the headers, a line each. RFC 6455 §9.1, RFC 7692 §7.1. */
#include "http/extension.h"
#include "script.h"

enum lexeme_kind : uint8_t { COMMA, SEMICOLON, EQUALS, WORD, QUOTED, END, WRONG };

struct lexeme {
    enum lexeme_kind kind;
    char word[64]; /* what it means, as far as it fits */
    size_t size;
};

static bool is_word_character(char c)
{
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                              "!#$%&'*+-.^_`|~";
    return c != 0 && strchr(set, c) != nullptr;
}

static void add(struct lexeme *lexeme, char c)
{
    if (lexeme->size < sizeof lexeme->word) lexeme->word[lexeme->size] = c;
    lexeme->size += 1;
}

static struct lexeme next(struct text *rest)
{
    struct lexeme lexeme = {.kind = END};
    while (rest->size > 0 && (rest->data[0] == ' ' || rest->data[0] == '\t'))
        *rest = text_skip(*rest, 1);
    if (rest->size == 0) return lexeme;
    char first = rest->data[0];
    const char *mark = first != 0 ? strchr(",;=", first) : nullptr;
    if (mark != nullptr) {
        *rest = text_skip(*rest, 1);
        lexeme.kind = first == ',' ? COMMA : first == ';' ? SEMICOLON : EQUALS;
    } else if (first == '"') {
        lexeme.kind = WRONG;
        for (*rest = text_skip(*rest, 1); rest->size > 0; *rest = text_skip(*rest, 1)) {
            if (rest->data[0] == '"') {
                *rest = text_skip(*rest, 1);
                if (lexeme.size > 0) lexeme.kind = QUOTED;
                break;
            }
            if (rest->data[0] == '\\') *rest = text_skip(*rest, 1);
            if (rest->size == 0 || !is_word_character(rest->data[0])) break;
            add(&lexeme, rest->data[0]);
        }
    } else {
        lexeme.kind = is_word_character(first) ? WORD : WRONG;
        for (; rest->size > 0 && is_word_character(rest->data[0]); *rest = text_skip(*rest, 1))
            add(&lexeme, rest->data[0]);
    }
    return lexeme;
}

static bool is(const struct lexeme *lexeme, const char *word)
{
    return lexeme->size == strlen(word) && memcmp(lexeme->word, word, lexeme->size) == 0;
}

/* One offer: a name, then parameters. */
struct heard {
    bool ours, good;
    unsigned server, client;                                       /* bits */
    bool server_context, client_context, server_bits, client_bits; /* came */
};

static unsigned number_of(const struct lexeme *value)
{
    static const char *const numbers[] = {"8", "9", "10", "11", "12", "13", "14", "15"};
    for (unsigned i = 0; i < 8; i++)
        if (is(value, numbers[i])) return 8 + i;
    return 0;
}

static void hear_parameter(struct heard *heard, const struct lexeme *name,
                           const struct lexeme *value)
{
    bool *seen = is(name, "server_no_context_takeover")   ? &heard->server_context
                 : is(name, "client_no_context_takeover") ? &heard->client_context
                 : is(name, "server_max_window_bits")     ? &heard->server_bits
                 : is(name, "client_max_window_bits")     ? &heard->client_bits
                                                          : nullptr;
    if (seen == nullptr || *seen) {
        heard->good = false;
        return;
    }
    *seen = true;
    unsigned bits = value != nullptr ? number_of(value) : 0;
    if (seen == &heard->server_bits) {
        heard->good = heard->good && bits >= 9; /* zlib cannot compress with 8 */
        heard->server = bits;
    } else if (seen == &heard->client_bits) {
        heard->good = heard->good && (value == nullptr || bits >= 8);
        if (bits > 0) heard->client = bits;
    } else {
        heard->good = heard->good && value == nullptr;
    }
}

/* The parameters of one extension; *mark is what follows it. False: not an extension. */
static bool hear_extension(struct text *rest, struct lexeme *mark, struct heard *heard)
{
    *mark = next(rest);
    while (mark->kind == SEMICOLON) {
        struct lexeme name = next(rest), value;
        if (name.kind != WORD) return false;
        *mark = next(rest);
        bool has_value = mark->kind == EQUALS;
        if (has_value) {
            value = next(rest);
            if (value.kind != WORD && value.kind != QUOTED) return false;
            *mark = next(rest);
        }
        if (heard->ours) hear_parameter(heard, &name, has_value ? &value : nullptr);
    }
    return true;
}

/* False when it is no list. The first good offer goes to *chosen unless one is there. */
static bool hear_list(struct text rest, struct heard *chosen)
{
    unsigned count = 0;
    for (;;) {
        struct lexeme lexeme = next(&rest);
        if (lexeme.kind == COMMA) continue;
        if (lexeme.kind == END) return count > 0;
        if (lexeme.kind != WORD) return false;
        struct heard heard = {.server = 15, .client = 15, .good = true};
        heard.ours = is(&lexeme, "permessage-deflate");
        struct lexeme mark;
        if (!hear_extension(&rest, &mark, &heard)) return false;
        if (heard.ours && heard.good && !chosen->ours) *chosen = heard;
        count += 1;
        if (mark.kind == END) return true;
        if (mark.kind != COMMA) return false;
    }
}

static void check_answer(const struct http_deflate *deflate, const struct heard *chosen)
{
    uint8_t memory[200];
    struct writer out = writer_over(memory, sizeof memory);
    struct heard answer = {};
    http_deflate_write(&out, deflate);
    MUST(!out.overflow && hear_list(text_from(writer_bytes(&out)), &answer));
    MUST(answer.ours && answer.server_context && answer.client_context && !answer.client_bits);
    MUST(answer.server_bits == chosen->server_bits);
    MUST(answer.server == chosen->server);
}

/* What a header's value may be once it has been read (RFC 9110 §5.5). */
static bool is_value(struct text text)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = (uint8_t)text.data[i];
        if ((byte < ' ' && byte != '\t') || byte == 0x7F) return false;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_request request = {};
    struct bytes memory = bytes_exact(data, size);
    struct text rest = text_from(memory);
    struct heard chosen = {};
    bool valid = true;
    while (rest.size > 0 && request.header_count < 4) {
        const char *end = memchr(rest.data, '\n', rest.size);
        struct text line = {rest.data, end != nullptr ? (size_t)(end - rest.data) : rest.size};
        rest = text_skip(rest, line.size < rest.size ? line.size + 1 : line.size);
        line = text_trim(line);
        if (!is_value(line)) continue;
        request.headers[request.header_count++] =
            (struct http_header){TEXT("Sec-WebSocket-Extensions"), line};
        valid = valid && hear_list(line, &chosen);
    }
    struct http_deflate deflate;
    MUST(http_deflate_choose(&request, &deflate) == valid);
    if (valid) {
        MUST((deflate.server_bits != 0) == chosen.ours);
        if (chosen.ours) {
            MUST(deflate.server_bits == chosen.server && deflate.client_bits == chosen.client);
            check_answer(&deflate, &chosen);
        }
    }
    free(memory.data);
    return 0;
}
