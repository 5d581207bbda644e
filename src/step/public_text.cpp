#include "step/public_text.hpp"

#include <algorithm>
#include <cctype>

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

using Codes = std::vector<std::string>;

// Classes of SQLSTATEs whose messages name objects and settings. An argument of any other's (22
// data exception, P0 of PL/pgSQL, XX of a C function that gives no code ...) may be a value.
const Codes of_objects = {"0A", "23", "25", "2B", "3F", "40", "42", "53", "54", "55", "57", "58"};
// Their details quote a row, or name its place.
const Codes detail_of_rows = {"23", "40", "54"};
// What a parallel worker has raised comes without its format. Nobody's function raises these of a
// value.
const Codes of_resources = {"40", "53", "55", "57", "58"};
// Of a statement when they point to a place in it; else a value may have been looked up
// (text::regclass), or parsed (text::tsquery).
const Codes of_texts = {"3F000", "42601", "42602", "42704", "42725", "42883", "42P01"};

bool contains(const Codes &codes, const std::string &code) {
    return std::find(codes.begin(), codes.end(), code) != codes.end();
}

// "value \"%s\" is out of range" -> "value \"...\" is out of range"
std::string without_arguments(const std::string &format) {
    std::string text;
    for (size_t i = 0; i < format.size(); ++i) {
        if (format[i] != '%') {
            text += format[i];
        } else if (i + 1 < format.size() && format[i + 1] == '%') {
            text += format[++i];
        } else {
            i = std::min(format.find_first_of("cdeEfgGimopsuxX", i + 1), format.size());
            text += "...";
        }
    }
    return text;
}

bool has_words(const std::string &text) {
    return std::any_of(text.begin(), text.end(), [](unsigned char c) { return std::isalpha(c); });
}

bool speaks_of_objects(const Error &error) {
    const std::string code = error.sqlstate(), code_class = code.substr(0, 2);
    if (!contains(of_objects, code_class)) return false;
    if (error.format().empty()) return contains(of_resources, code_class);
    // RAISE of a procedural language takes any code.
    if (!has_words(without_arguments(error.format()))) return false;
    return !contains(of_texts, code) || error.has_place();
}

std::string joined(const std::string &message, const std::string &detail) {
    return detail.empty() ? message : fmt::format("{}; {}", message, detail);
}

}  // namespace

std::string public_text(const Migration &migration, const Error &error) {
    const std::string whole = joined(error.what(), error.detail());
    if (error.is_own()) return whole;
    const std::string general = without_arguments(error.format());
    std::string text;
    if (speaks_of_objects(error))
        text = contains(detail_of_rows, error.sqlstate().substr(0, 2)) ? error.what() : whole;
    else if (!has_words(general))
        text = fmt::format("SQLSTATE {}", error.sqlstate());
    else
        text = general == error.format() ? error.what() : general;
    if (text == whole) return text;
    zdm_log(fmt::format("{}: {}", described(migration), whole).c_str());
    return fmt::format("{}; the rest may be user data, the server log has it", text);
}

void raise_both(const Migration &migration, const Error &first, const char *what,
                const Error &second) {
    raise(first.sqlstate().c_str(), {}, "{}; and {}: {}", public_text(migration, first), what,
          public_text(migration, second));
}

}  // namespace zdm
