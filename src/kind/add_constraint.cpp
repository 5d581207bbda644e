// add_constraint: any table constraint. CHECK and FOREIGN KEY are imposed NOT VALID and proved;
// UNIQUE and PRIMARY KEY are an index that is built beside the writes and then adopted, for a
// primary key after its columns were proved to be NOT NULL. An EXCLUDE constraint has no online
// way.
#include "core/user.hpp"
#include "kind/kinds.hpp"
#include "kind/not_null_proof.hpp"
#include "state/index.hpp"
#include "state/names.hpp"
#include "step/partitioned_index.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

// One constraint as it is asked for or as it is.
struct Request {
    ZdmConstraint parsed{};
    std::vector<std::string> columns;             // quoted
    std::vector<std::string> referenced_columns;  // quoted
    std::string text;                             // canonical, without NOT VALID

    bool is_key() const { return parsed.type == 'u' || parsed.type == 'p'; }
};

std::vector<std::string> quoted(int count, const char *const *names) {
    std::vector<std::string> result;
    for (int i = 0; i < count; ++i) result.push_back(quote(Identifier(names[i])));
    return result;
}

std::vector<std::string> primary_key_of(uint32_t relation) {
    const Rows rows = query(
        R"(SELECT a.attname FROM pg_constraint k
             CROSS JOIN LATERAL unnest(k.conkey) WITH ORDINALITY AS u(n, i)
             JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.n
            WHERE k.conrelid = $1::oid AND k.contype = 'p' ORDER BY u.i)",
        {relation});
    std::vector<std::string> columns;
    for (size_t row = 0; row < rows.size(); ++row)
        columns.push_back(quote(Identifier(rows.text(row, 0))));
    return columns;
}

Request parse(const Table &table, const std::string &name, const std::string &definition) {
    Request request;
    {
        // Names are found under the caller's search_path, but as the owner, who will add it.
        OwnerScope as_owner(table.owner);
        check(zdm_constraint_parse(table.relation, name.c_str(), definition.c_str(),
                                   &request.parsed));
    }
    const ZdmConstraint &parsed = request.parsed;
    request.columns = quoted(parsed.column_count, parsed.columns);
    request.text = parsed.text ? parsed.text : "";
    if (parsed.type == 'f') {
        request.referenced_columns =
            parsed.referenced_count > 0 ? quoted(parsed.referenced_count, parsed.referenced_columns)
                                        : primary_key_of(parsed.referenced);
        request.text =
            fmt::format("FOREIGN KEY ({}) REFERENCES {} ({}){}", fmt::join(request.columns, ", "),
                        quoted_relation(parsed.referenced).value_or("?"),
                        fmt::join(request.referenced_columns, ", "), parsed.text);
    }
    request.text += parsed.timing;
    if (!parsed.enforced) request.text += " NOT ENFORCED";
    return request;
}

enum class There { absent, other, not_valid, valid };

There what_is_there(const Table &table, const std::string &name, const Request &request) {
    const Rows rows = query(
        "SELECT pg_get_constraintdef(oid), convalidated FROM pg_constraint WHERE conrelid = "
        "$1::oid AND conname = $2",
        {table.relation, name});
    if (rows.empty()) return There::absent;
    const Request existing = parse(table, name, rows.text(0, 0));
    // An index that was adopted has lost its name.
    const bool same = request.parsed.index
                          ? existing.parsed.type == request.parsed.type &&
                                std::string(existing.parsed.timing) == request.parsed.timing
                          : existing.text == request.text;
    if (!same) return There::other;
    return rows.boolean(0, 1) ? There::valid : There::not_valid;
}

[[noreturn]] void refuse(const Table &table, const std::string &name, const std::string &why) {
    raise(sqlstate::unsupported, {}, "zdm: cannot add constraint {} to {}: {}", Identifier(name),
          table.name, why);
}

void check_kind(const Table &table, const std::string &name, const Request &request) {
    const char type = request.parsed.type;
    if (query("SELECT relkind FROM pg_class WHERE oid = $1::oid", {table.relation}).text(0, 0) ==
        "m")
        refuse(table, name, "it is a materialized view, which has no constraints");
    if (type == 'x')
        refuse(table, name,
               "the server builds the index of an exclusion constraint under a lock that stops "
               "every write until it is built; ALTER TABLE in a maintenance window");
    if (type == 'n')
        refuse(table, name, "it is no constraint of the table but NOT NULL; use zdm.set_not_null");
    if (table.partitioned && request.is_key() &&
        (request.parsed.index != nullptr || request.parsed.tablespace != nullptr ||
         request.parsed.options[0] != '\0'))
        refuse(table, name,
               "the key of a partitioned table is built partition by partition, without options of "
               "its index");
    if (table.partitioned && type == 'f' && !zdm_has_not_valid_partitioned_foreign_key())
        refuse(table, name,
               "this server version adds a foreign key to a partitioned table only with all rows "
               "checked under lock; add it to each partition");
    if (!query("SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhparent AND c.relkind = "
               "'r' WHERE i.inhparent = $1::oid",
               {table.relation})
             .empty())
        refuse(table, name, "the table has children by inheritance, which would be locked too");
}

// The server keeps each partition's rows unique, so a key has to tell the partition.
void check_partition_keys(const Table &table, const std::string &name, const Request &request) {
    const Rows rows = query(
        R"(SELECT format('%I.%I', n.nspname, c.relname), pg_get_partkeydef(c.oid)
             FROM pg_partition_tree($1::oid::regclass) t JOIN pg_partitioned_table p ON p.partrelid = t.relid
             JOIN pg_class c ON c.oid = t.relid JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE p.partexprs IS NOT NULL
               OR EXISTS (SELECT FROM unnest(p.partattrs::int2[]) AS u(n) JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.n
                           WHERE quote_ident(a.attname) <> ALL (string_to_array($2, E'\x01')))
            ORDER BY t.level, 1 LIMIT 1)",
        {table.relation, fmt::format("{}", fmt::join(request.columns, "\x01"))});
    if (rows.empty()) return;
    refuse(table, name,
           fmt::format("a key of a partitioned table must have all columns that it is partitioned "
                       "by, and {} is partitioned by {}",
                       rows.text(0, 0), rows.text(0, 1)));
}

void check_columns(const Table &table, const Request &request) {
    const ZdmConstraint &parsed = request.parsed;
    for (int i = 0; i < parsed.column_count; ++i)
        if (!find_column(table, parsed.columns[i]))
            raise(sqlstate::undefined_column, {}, "zdm: table {} has no column {}", table.name,
                  Identifier(parsed.columns[i]));
}

// Columns of a list as the server compares them: as a set.
constexpr const char *index_columns_sql = R"(
    SELECT FROM pg_index i
     WHERE i.indrelid = $1::oid AND i.indisvalid AND i.indpred IS NULL AND {}
       AND (SELECT array_agg(quote_ident(a.attname) ORDER BY a.attname)
              FROM pg_attribute a
             WHERE a.attrelid = i.indrelid
               AND a.attnum = ANY ((i.indkey::int2[])[0:$3::integer - 1]) AND a.attnum > 0)
           = (SELECT array_agg(c ORDER BY c) FROM unnest(string_to_array($2, E'\x01')) c))";

bool has_index(uint32_t relation, const std::vector<std::string> &columns, const char *which) {
    return !query(fmt::format(fmt::runtime(index_columns_sql), which),
                  {relation, fmt::format("{}", fmt::join(columns, "\x01")),
                   static_cast<int>(columns.size())})
                .empty();
}

void check_foreign_key(Draft &draft, const Table &table, const std::string &name,
                       const Request &request) {
    const uint32_t other = request.parsed.referenced;
    const Rows rows = query(
        R"(SELECT c.relkind IN ('r', 'p'), has_any_column_privilege($2::oid, c.oid, 'REFERENCES'), c.relpersistence,
                  $2::oid::regrole
             FROM pg_class c WHERE c.oid = $1::oid)",
        {other, table.owner});
    const std::string other_name = quoted_relation(other).value_or("?");
    if (!rows.boolean(0, 0) || rows.text(0, 2) == "t")
        refuse(table, name, fmt::format("{} is not an ordinary table", other_name));
    if (!rows.boolean(0, 1))
        raise(sqlstate::not_owner, {},
              "zdm: cannot add constraint {} to {}: {} may not refer to {}; GRANT REFERENCES ON {} "
              "TO {}",
              Identifier(name), table.name, rows.text(0, 3), other_name, other_name,
              rows.text(0, 3));
    if (request.referenced_columns.empty())
        raise("42830", {},
              "zdm: cannot add constraint {} to {}: {} has no primary key; name the columns that "
              "it refers to",
              Identifier(name), table.name, other_name);
    if (!has_index(other, request.referenced_columns,
                   "i.indisunique AND i.indnkeyatts = $3::integer"))
        raise("42830", {},
              "zdm: cannot add constraint {} to {}: nothing makes ({}) of {} unique; add a unique "
              "constraint there first",
              Identifier(name), table.name, fmt::join(request.referenced_columns, ", "),
              other_name);
    if (!has_index(table.relation, request.columns, "i.indnkeyatts >= $3::integer"))
        draft.warnings.push_back(fmt::format(
            "zdm: no index of {} begins with ({}), so every delete of a row of {} will read all of "
            "it; SELECT zdm.create_index('CREATE INDEX ON {} ({})') mends that",
            table.name, fmt::join(request.columns, ", "), other_name, table.quoted,
            fmt::join(request.columns, ", ")));
}

void check_names(const Table &table, const std::string &name, const Request &request) {
    if (!request.is_key()) return;
    if (request.parsed.type == 'p' && !primary_key_of(table.relation).empty())
        raise("42P16", {}, "zdm: cannot add constraint {} to {}: it has a primary key already",
              Identifier(name), table.name);
    const std::string index = request.parsed.index ? request.parsed.index : "";
    if (!index.empty() && !find_index(table.relation, index))
        raise(sqlstate::undefined_object, {}, "zdm: table {} has no index {}", table.name,
              Identifier(index));
    if (index != name && !query(R"(SELECT FROM pg_class WHERE relname = $2
                     AND relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = $1::oid))",
                                {table.relation, name})
                              .empty())
        raise("42P07", {},
              "zdm: cannot add constraint {} to {}: its index would have the name of another "
              "relation in the schema; choose another name",
              Identifier(name), table.name);
}

Step impose(const Table &table, const std::string &name, const std::string &text,
            const std::string &description, const Request &request) {
    const bool refers = request.parsed.type == 'f';
    Step step{
        0,
        Phase::build,
        "impose_constraint",
        name,
        description,
        fmt::format("ALTER TABLE {} ADD CONSTRAINT {} {}", table.quoted, Identifier(name), text),
        refers ? "SHARE ROW EXCLUSIVE" : "ACCESS EXCLUSIVE"};
    if (refers) {
        step.relation = table.relation;
        step.related = request.parsed.referenced;
    }
    return step;
}

Step prove(const Table &table, const std::string &name, const Request &request) {
    Step step{0,
              Phase::build,
              "prove_constraint",
              name,
              fmt::format("Prove constraint {} for every row", Identifier(name)),
              fmt::format("ALTER TABLE {} VALIDATE CONSTRAINT {}", table.quoted, Identifier(name)),
              "SHARE UPDATE EXCLUSIVE"};
    if (request.parsed.type == 'f') {
        step.relation = table.relation;
        step.related = request.parsed.referenced;
    }
    return step;
}

std::vector<Step> condition_steps(const Table &table, const std::string &name,
                                  const Request &request, There there) {
    const ZdmConstraint &parsed = request.parsed;
    const bool stays = parsed.not_valid || !parsed.enforced;
    std::vector<Step> steps;
    if (there == There::absent)
        steps.push_back(impose(table, name, request.text + (parsed.enforced ? " NOT VALID" : ""),
                               fmt::format("Demand of new writes: {}", request.text), request));
    if (!stays) steps.push_back(prove(table, name, request));
    return steps;
}

// The columns of a key that may be NULL now.
std::vector<std::string> nullable_columns(const Table &table, const Request &request) {
    const Rows rows = query(
        R"(SELECT a.attname FROM pg_attribute a
            WHERE a.attrelid = $1::oid AND NOT a.attnotnull AND a.attnum > 0 AND NOT a.attisdropped
              AND (quote_ident(a.attname) = ANY (string_to_array($2, E'\x01'))
                   OR EXISTS (SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                               WHERE i.indrelid = a.attrelid AND c.relname = $3
                                 AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])))
            ORDER BY a.attnum)",
        {table.relation, fmt::format("{}", fmt::join(request.columns, "\x01")),
         request.parsed.index ? Text(request.parsed.index) : std::nullopt});
    std::vector<std::string> columns;
    for (size_t row = 0; row < rows.size(); ++row) columns.push_back(rows.text(row, 0));
    return columns;
}

// Without its partitions first, which reads no row; then theirs, one by one.
std::function<std::vector<Step>(const Migration &)> partitioned_key_plan(const Table &table,
                                                                         const std::string &name,
                                                                         const Request &request) {
    const ZdmConstraint &parsed = request.parsed;
    const std::string statement = fmt::format("CREATE UNIQUE INDEX {} ON {} {}", Identifier(name),
                                              table.quoted, parsed.index_body);
    const std::string text = parsed.text + std::string(parsed.timing);
    const auto columns =
        parsed.type == 'p' ? nullable_columns(table, request) : std::vector<std::string>();
    return [=](const Migration &migration) {
        std::vector<Step> steps = not_null_steps(table, migration, columns);
        steps.push_back(
            {0, Phase::build, "create_partitioned_key", name,
             fmt::format("Make constraint {} without its partitions, which reads no row",
                         Identifier(name)),
             fmt::format("ALTER TABLE ONLY {} ADD CONSTRAINT {} {}", table.quoted, Identifier(name),
                         text),
             "ACCESS EXCLUSIVE"});
        for (auto &step : partition_index_steps(migration, name, statement))
            steps.push_back(std::move(step));
        return steps;
    };
}

// The index, and the constraint that adopts it. Everything as text: the parsed request does not
// outlive the call.
std::function<std::vector<Step>(const Migration &)> key_plan(const Table &table,
                                                             const std::string &name,
                                                             const Request &request) {
    const ZdmConstraint &parsed = request.parsed;
    const bool primary = parsed.type == 'p';
    const Text index = parsed.index ? Text(parsed.index) : std::nullopt;
    const std::string body =
        parsed.index_body + (parsed.tablespace
                                 ? fmt::format(" TABLESPACE {}", Identifier(parsed.tablespace))
                                 : std::string());
    const std::string timing = parsed.timing;
    const auto columns = primary ? nullable_columns(table, request) : std::vector<std::string>();
    return [=](const Migration &migration) {
        std::vector<Step> steps = not_null_steps(table, migration, columns);
        const std::string shadow = new_object_name(migration.id, name);
        if (!index)
            steps.push_back({0, Phase::build, "build_index", shadow,
                             fmt::format("Build the index of constraint {} beside the writes",
                                         Identifier(name)),
                             fmt::format("CREATE UNIQUE INDEX CONCURRENTLY {} ON {} {}",
                                         Identifier(shadow), table.quoted, body),
                             "SHARE UPDATE EXCLUSIVE"});
        steps.push_back(
            {0, Phase::build, "adopt_index", name,
             fmt::format("Make the index constraint {}", Identifier(name)),
             fmt::format("ALTER TABLE {} ADD CONSTRAINT {} {} USING INDEX {}{}", table.quoted,
                         Identifier(name), primary ? "PRIMARY KEY" : "UNIQUE",
                         Identifier(index.value_or(shadow)), timing),
             "ACCESS EXCLUSIVE"});
        return steps;
    };
}

std::string plain_text(const Request &request) {
    const ZdmConstraint &parsed = request.parsed;
    if (!request.is_key()) return request.text + (parsed.not_valid ? " NOT VALID" : "");
    return fmt::format(
        "{}{}{}{}", parsed.text, parsed.options,
        parsed.tablespace ? fmt::format(" USING INDEX TABLESPACE {}", Identifier(parsed.tablespace))
                          : std::string(),
        parsed.timing);
}

void complete(Draft &draft, const Table &table, const std::string &name,
              const std::string &definition) {
    const Request request = parse(table, name, definition);
    check_kind(table, name, request);
    check_columns(table, request);
    draft.target = Phase::done;
    const There there = what_is_there(table, name, request);
    if (there == There::other)
        raise("42710", {},
              "zdm: cannot add constraint {} to {}: it has one of that name with another "
              "definition; choose another name, or drop that one first",
              Identifier(name), table.name);
    if (there == There::valid) return;  // nothing to do, and the caller's deploy goes on
    if (there == There::absent) check_names(table, name, request);
    if (table.partitioned && request.is_key()) check_partition_keys(table, name, request);
    if (request.parsed.type == 'f') check_foreign_key(draft, table, name, request);

    draft.direct = {
        there == There::absent
            ? fmt::format("ALTER TABLE {} ADD CONSTRAINT {} {}", table.quoted, Identifier(name),
                          plain_text(request))
            : fmt::format("ALTER TABLE {} VALIDATE CONSTRAINT {}", table.quoted, Identifier(name))};
    if (request.is_key())
        draft.plan = table.partitioned ? partitioned_key_plan(table, name, request)
                                       : key_plan(table, name, request);
    else
        draft.steps = condition_steps(table, name, request, there);
}

}  // namespace

Draft draft_add_constraint(const Table &table, const std::string &name,
                           const std::string &definition) {
    if (name.empty() || name.size() > 63)
        raise("42622", {},
              "zdm: \"{}\" cannot be a constraint's name on {}: a name has 1 to 63 bytes", name,
              table.name);
    const Request request = parse(table, name, definition);
    const bool not_valid = request.parsed.not_valid;
    Draft draft;
    draft.kind = "add_constraint";
    draft.object = name;
    draft.definition = fmt::format("add_constraint {} {}{}", Identifier(name), request.text,
                                   not_valid ? " NOT VALID" : "");
    const There there = what_is_there(table, name, request);
    draft.already_so = there == There::valid || (there == There::not_valid && not_valid);
    draft.complete = [=](Draft &self) { complete(self, table, name, definition); };
    return draft;
}

}  // namespace zdm
