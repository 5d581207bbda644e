#include "step/present_name.hpp"

#include "state/index.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

// Behind an identifier, qualified or not, that begins there; blanks may stand between quotes.
size_t end_of_identifier(const std::string &sql, size_t from) {
    bool quoted = false;
    size_t at = from;
    for (; at < sql.size() && (quoted || (sql[at] != ' ' && sql[at] != ';')); ++at)
        if (sql[at] == '"') quoted = !quoted;
    return at;
}

bool stands_at(const std::string &sql, size_t at, const std::string &text) {
    return sql.compare(at, text.size(), text) == 0;
}

// Puts the name where the table's stands, behind that word and ONLY.
void put_name(std::string &sql, size_t at, const std::string &name) {
    const std::string only = "ONLY ";
    if (stands_at(sql, at, only)) at += only.size();
    sql.replace(at, end_of_identifier(sql, at) - at, name);
}

}  // namespace

std::string under_present_name(const Step &step, uint32_t relation) {
    const auto name = quoted_relation(relation);
    if (!name) return step.sql;
    const std::string alter = "ALTER TABLE ", next = "; " + alter;
    std::string text = step.sql;
    if (stands_at(text, 0, alter)) {
        put_name(text, alter.size(), *name);
        // Several that are joined are all of the same table.
        for (size_t at = text.find(next); at != std::string::npos; at = text.find(next, at + 1))
            put_name(text, at + next.size(), *name);
        return text;
    }
    // Others that build an index know themselves of which table.
    if (step.kind != "create_index" && step.kind != "analyze") return text;
    for (const std::string before :
         {"CREATE INDEX CONCURRENTLY ", "CREATE UNIQUE INDEX CONCURRENTLY "})
        if (stands_at(text, 0, before)) {
            const std::string on = " ON ";
            const size_t at = end_of_identifier(text, before.size());
            if (stands_at(text, at, on)) put_name(text, at + on.size(), *name);
        }
    const std::string analyze = "ANALYZE ";
    if (stands_at(text, 0, analyze)) put_name(text, analyze.size(), *name);
    return text;
}

}  // namespace zdm
