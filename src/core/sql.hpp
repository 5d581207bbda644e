// SQL as values: texts are built by fmt from typed pieces, parameters and results are text.
//
// An identifier or a literal enters a statement only through its type, which quotes it as the
// server does; a plain string is SQL text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/error.hpp"

namespace zdm {

struct Identifier {
    explicit Identifier(std::string name) : name(std::move(name)) {}
    std::string name;
};

struct Literal {
    explicit Literal(std::string text) : text(std::move(text)) {}
    std::string text;
};

std::string quote(const Identifier &identifier);
std::string quote(const Literal &literal);

// The parts of a text; none of an empty one.
std::vector<std::string> split(const std::string &text, char separator);

bool ends_with(const std::string &text, std::string_view end);

// Replaces $1, $2 ... outside of quotes by the given texts. For what the server has deparsed: it
// doubles quotes inside of quotes.
std::string with_parameters(const std::string &expression, const std::vector<std::string> &texts);

using Text = std::optional<std::string>;

// A statement's parameter: always sent as text, cast in the statement ($1::bigint).
struct Parameter {
    Parameter(std::string text) : text(std::move(text)) {}
    Parameter(const char *text) : text(text) {}
    Parameter(Text text) : text(std::move(text)) {}
    Parameter(std::nullopt_t) {}
    Parameter(bool value) : text(value ? "t" : "f") {}
    Parameter(int value) : text(std::to_string(value)) {}
    Parameter(uint32_t value) : text(std::to_string(value)) {}
    Parameter(int64_t value) : text(std::to_string(value)) {}
    Parameter(double value) : text(fmt::format("{}", value)) {}
    Text text;
};

using Parameters = std::vector<Parameter>;

// The rows of one statement, copied out of the server's memory.
class Rows {
  public:
    size_t size() const { return count_; }
    bool empty() const { return count_ == 0; }

    // Columns count from 0. null_text() is empty for SQL NULL; text() gives "" for it.
    const Text &null_text(size_t row, size_t column) const {
        return cells_.at(row * columns_ + column);
    }
    std::string text(size_t row, size_t column) const {
        return null_text(row, column).value_or("");
    }
    int64_t integer(size_t row, size_t column) const;
    uint32_t oid(size_t row, size_t column) const {
        return static_cast<uint32_t>(integer(row, column));
    }
    std::vector<uint32_t> oids() const;  // of the first column
    double number(size_t row, size_t column) const;
    bool boolean(size_t row, size_t column) const { return text(row, column) == "t"; }

  private:
    friend Rows rows_of(const ZdmResult &);
    size_t count_ = 0;
    size_t columns_ = 0;
    std::vector<Text> cells_;
};

// In a statement: the OIDs of a table and of all its partitions. As an array each is looked up by
// index, whatever the planner takes their number for; with a set it reads all of pg_class, under
// the lock of a cutover and in a database of many thousand tables.
#define ZDM_TREE_OF(table)                                                                \
    "ARRAY(SELECT " table " UNION SELECT relid FROM pg_catalog.pg_partition_tree((" table \
    ")::regclass))"

// Runs one statement as the current user. What the server deparses for it means the same in every
// session, whatever this one has set (pg/pinned.h).
Rows query(const std::string &sql, const Parameters &parameters = {});

// The same of a fixed statement that is run again and again, with a plan kept for the session: the
// planner takes several times as long as the server's state takes to read. sql as for catalog().
Rows kept_query(const char *sql, const Parameters &parameters = {});

// Runs one statement that evaluates a user's expressions: these may depend on settings, and give
// what their author means only under the author's (Migration::evaluation); "" = this session's.
Rows evaluate(const std::string &sql, const std::string &settings = "");

// Runs a fixed statement on zdm's tables and the server's catalogs as the extension's owner, with a
// plan kept for the session. sql must be a string constant (its address is the plan's key): no text
// of a user may be part of it, and it must call nothing that a user can define.
Rows catalog(const char *sql, const Parameters &parameters = {});

// The same, of a statement that only reads: what others have committed up to now, also where the
// caller's transaction is REPEATABLE READ.
Rows catalog_of_now(const char *sql, const Parameters &parameters = {});

}  // namespace zdm

template <>
struct fmt::formatter<zdm::Identifier> : fmt::formatter<std::string_view> {
    template <typename Context>
    auto format(const zdm::Identifier &value, Context &context) const {
        return fmt::formatter<std::string_view>::format(zdm::quote(value), context);
    }
};

template <>
struct fmt::formatter<zdm::Literal> : fmt::formatter<std::string_view> {
    template <typename Context>
    auto format(const zdm::Literal &value, Context &context) const {
        return fmt::formatter<std::string_view>::format(zdm::quote(value), context);
    }
};
