/* Keymaps as they are printed on keyboards: a row for each key, with what it
 * makes alone, with shift, and with AltGr. A character followed by a space is
 * on a dead key. A further keymap is a table and a line below. */
#include "device/input/keymap.h"

#include <string.h>

#include "device/input/codes.h"

#define LEVELS 3

struct row {
    uint16_t key; /* 0 ends a table */
    const char *level[LEVELS];
};

static const unsigned held_at[LEVELS] = {0, STROKE_SHIFT, STROKE_ALTGR};

/* On all keyboards. */
static const struct row common[] = {
    {KEY_SPACE, {" "}},      {KEY_ENTER, {"\n"}},
    {KEY_TAB, {"\t"}},       {KEY_ESC, {"\x1b"}},
    {KEY_BACKSPACE, {"\b"}}, {KEY_DELETE, {"\x7f"}},
    {KEY_B, {"b", "B"}},     {KEY_C, {"c", "C"}},
    {KEY_D, {"d", "D"}},     {KEY_F, {"f", "F"}},
    {KEY_G, {"g", "G"}},     {KEY_H, {"h", "H"}},
    {KEY_I, {"i", "I"}},     {KEY_J, {"j", "J"}},
    {KEY_K, {"k", "K"}},     {KEY_L, {"l", "L"}},
    {KEY_N, {"n", "N"}},     {KEY_O, {"o", "O"}},
    {KEY_P, {"p", "P"}},     {KEY_R, {"r", "R"}},
    {KEY_S, {"s", "S"}},     {KEY_T, {"t", "T"}},
    {KEY_U, {"u", "U"}},     {KEY_V, {"v", "V"}},
    {KEY_X, {"x", "X"}},     {0},
};

static const struct row us[] = {
    {KEY_GRAVE, {"`", "~"}},
    {KEY_1, {"1", "!"}},
    {KEY_2, {"2", "@"}},
    {KEY_3, {"3", "#"}},
    {KEY_4, {"4", "$"}},
    {KEY_5, {"5", "%"}},
    {KEY_6, {"6", "^"}},
    {KEY_7, {"7", "&"}},
    {KEY_8, {"8", "*"}},
    {KEY_9, {"9", "("}},
    {KEY_0, {"0", ")"}},
    {KEY_MINUS, {"-", "_"}},
    {KEY_EQUAL, {"=", "+"}},
    {KEY_Q, {"q", "Q"}},
    {KEY_W, {"w", "W"}},
    {KEY_E, {"e", "E"}},
    {KEY_Y, {"y", "Y"}},
    {KEY_LEFTBRACE, {"[", "{"}},
    {KEY_RIGHTBRACE, {"]", "}"}},
    {KEY_A, {"a", "A"}},
    {KEY_SEMICOLON, {";", ":"}},
    {KEY_APOSTROPHE, {"'", "\""}},
    {KEY_BACKSLASH, {"\\", "|"}},
    {KEY_Z, {"z", "Z"}},
    {KEY_M, {"m", "M"}},
    {KEY_COMMA, {",", "<"}},
    {KEY_DOT, {".", ">"}},
    {KEY_SLASH, {"/", "?"}},
    {0},
};

static const struct row de[] = {
    {KEY_GRAVE, {"^ ", "°"}},
    {KEY_1, {"1", "!"}},
    {KEY_2, {"2", "\"", "²"}},
    {KEY_3, {"3", "§", "³"}},
    {KEY_4, {"4", "$"}},
    {KEY_5, {"5", "%"}},
    {KEY_6, {"6", "&"}},
    {KEY_7, {"7", "/", "{"}},
    {KEY_8, {"8", "(", "["}},
    {KEY_9, {"9", ")", "]"}},
    {KEY_0, {"0", "=", "}"}},
    {KEY_MINUS, {"ß", "?", "\\"}},
    {KEY_EQUAL, {"´ ", "` "}},
    {KEY_Q, {"q", "Q", "@"}},
    {KEY_W, {"w", "W"}},
    {KEY_E, {"e", "E", "€"}},
    {KEY_Y, {"z", "Z"}},
    {KEY_LEFTBRACE, {"ü", "Ü"}},
    {KEY_RIGHTBRACE, {"+", "*", "~"}},
    {KEY_A, {"a", "A"}},
    {KEY_SEMICOLON, {"ö", "Ö"}},
    {KEY_APOSTROPHE, {"ä", "Ä"}},
    {KEY_BACKSLASH, {"#", "'"}},
    {KEY_102ND, {"<", ">", "|"}},
    {KEY_Z, {"y", "Y"}},
    {KEY_M, {"m", "M", "µ"}},
    {KEY_COMMA, {",", ";"}},
    {KEY_DOT, {".", ":"}},
    {KEY_SLASH, {"-", "_"}},
    {0},
};

static const struct row *const maps[] = {us, de};
const char *const keymap_words[] = {"us", "de", NULL};

static bool find(const struct row *rows, const char *s, size_t n,
                 struct stroke *out)
{
    for (const struct row *r = rows; r->key; r++)
        for (unsigned i = 0; i < LEVELS; i++) {
            const char *made = r->level[i];

            if (!made || strncmp(made, s, n) != 0)
                continue;
            *out = (struct stroke){r->key, held_at[i], made[n] == ' '};
            return true;
        }
    return false;
}

bool keymap_find(unsigned map, const char *s, size_t n, struct stroke *out)
{
    return find(common, s, n, out) || find(maps[map], s, n, out);
}
