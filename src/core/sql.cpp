#include "core/sql.hpp"

#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "core/user.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

std::string quote(const Identifier &identifier) {
    const char *quoted = nullptr;
    check(zdm_quote_identifier(identifier.name.c_str(), &quoted));
    return quoted;
}

std::string quote(const Literal &literal) {
    const char *quoted = nullptr;
    check(zdm_quote_literal(literal.text.c_str(), &quoted));
    return quoted;
}

std::vector<std::string> split(const std::string &text, char separator) {
    std::vector<std::string> parts;
    for (size_t from = 0; !text.empty() && from <= text.size();) {
        const size_t to = std::min(text.find(separator, from), text.size());
        parts.push_back(text.substr(from, to - from));
        from = to + 1;
    }
    return parts;
}

bool ends_with(const std::string &text, std::string_view end) {
    return text.size() >= end.size() &&
           text.compare(text.size() - end.size(), end.size(), end) == 0;
}

std::string with_parameters(const std::string &expression, const std::vector<std::string> &texts) {
    std::string result;
    char quote_mark = 0;
    for (size_t i = 0; i < expression.size(); ++i) {
        const char c = expression[i];
        if (quote_mark == 0 && c == '$' && i + 1 < expression.size() &&
            std::isdigit(expression[i + 1])) {
            size_t digits = 0;
            const size_t number = std::stoul(expression.substr(i + 1), &digits);
            result += texts.at(number - 1);
            i += digits;
            continue;
        }
        if (quote_mark == 0 && (c == '\'' || c == '"'))
            quote_mark = c;
        else if (c == quote_mark)
            quote_mark = 0;
        result += c;
    }
    return result;
}

int64_t Rows::integer(size_t row, size_t column) const {
    return std::strtoll(text(row, column).c_str(), nullptr, 10);
}

std::vector<uint32_t> Rows::oids() const {
    std::vector<uint32_t> found;
    for (size_t row = 0; row < count_; ++row) found.push_back(oid(row, 0));
    return found;
}

double Rows::number(size_t row, size_t column) const {
    return std::strtod(text(row, column).c_str(), nullptr);
}

Rows rows_of(const ZdmResult &result) {
    Rows rows;
    rows.count_ = result.rows;
    if (result.table == nullptr) return rows;
    rows.columns_ = static_cast<size_t>(result.columns);
    rows.cells_.reserve(rows.count_ * rows.columns_);
    for (uint64_t row = 0; row < result.rows; ++row)
        for (int column = 1; column <= result.columns; ++column) {
            const char *value = nullptr;
            check(zdm_sql_value(&result, row, column, &value));
            rows.cells_.push_back(value ? Text(value) : std::nullopt);
        }
    zdm_sql_free(&result);
    return rows;
}

Rows run_sql(const char *sql, const Parameters &parameters, ZdmPlan plan) {
    std::vector<const char *> values;
    values.reserve(parameters.size());
    for (const auto &parameter : parameters)
        values.push_back(parameter.text ? parameter.text->c_str() : nullptr);

    ZdmResult result{};
    check(zdm_sql_execute(sql, static_cast<int>(values.size()), values.data(), plan, &result));
    return rows_of(result);
}

Rows query(const std::string &sql, const Parameters &parameters) {
    return run_sql(sql.c_str(), parameters, ZDM_PLAN_ONCE);
}

Rows kept_query(const char *sql, const Parameters &parameters) {
    return run_sql(sql, parameters, ZDM_PLAN_KEPT);
}

Rows evaluate(const std::string &sql, const std::string &settings) {
    ZdmResult result{};
    check(zdm_sql_evaluate(sql.c_str(), settings.c_str(), &result));
    return rows_of(result);
}

namespace {

Rows as_extension_owner(const char *sql, const Parameters &parameters, ZdmPlan plan) {
    uint32_t owner = 0;
    check(zdm_extension_owner(&owner));
    UserScope as_owner(owner, zdm_user_local_context());
    return run_sql(sql, parameters, plan);
}

}  // namespace

Rows catalog(const char *sql, const Parameters &parameters) {
    return as_extension_owner(sql, parameters, ZDM_PLAN_KEPT);
}

Rows catalog_of_now(const char *sql, const Parameters &parameters) {
    return as_extension_owner(sql, parameters, ZDM_PLAN_KEPT_LATEST);
}

}  // namespace zdm
