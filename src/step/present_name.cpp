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

// Behind that text, where the statement begins with it; npos: it does not.
size_t behind(const std::string &sql, const std::string &beginning) {
    return sql.compare(0, beginning.size(), beginning) == 0 ? beginning.size() : std::string::npos;
}

// Where the statement names its table; npos: it does not, or whoever runs it puts it together anew.
size_t place_of_table(const Step &step) {
    constexpr size_t nowhere = std::string::npos;
    if (step.kind == "swap" || step.kind == "contract") return nowhere;  // of several tables
    if (const size_t at = behind(step.sql, "ALTER TABLE "); at != nowhere) {
        const size_t only = behind(step.sql, "ALTER TABLE ONLY ");
        return only != nowhere ? only : at;
    }
    if (step.kind == "analyze") return behind(step.sql, "ANALYZE ");
    if (step.kind == "create_statistics") {
        const size_t from = step.sql.rfind(" FROM ");
        return from == nowhere ? from : from + 6;
    }
    if (step.kind != "create_index") return nowhere;
    for (const std::string create : {"CREATE INDEX", "CREATE UNIQUE INDEX"})
        if (const size_t index = behind(step.sql, create + " CONCURRENTLY "); index != nowhere) {
            const std::string on = " ON ";
            const size_t at = end_of_identifier(step.sql, index);
            if (step.sql.compare(at, on.size(), on) == 0) return at + on.size();
        }
    return nowhere;
}

}  // namespace

std::string under_present_name(const Step &step, uint32_t relation) {
    const auto now = quoted_relation(relation);
    const size_t at = place_of_table(step);
    if (!now || at == std::string::npos) return step.sql;
    const std::string then = step.sql.substr(at, end_of_identifier(step.sql, at) - at);
    if (then == *now) return step.sql;
    std::string text = step.sql;
    text.replace(at, then.size(), *now);
    // Several that are joined are all of the same table.
    const std::string next = "; ALTER TABLE ";
    for (size_t other = text.find(next + then + " "); other != std::string::npos;
         other = text.find(next + then + " ", other + next.size()))
        text.replace(other + next.size(), then.size(), *now);
    return text;
}

}  // namespace zdm
