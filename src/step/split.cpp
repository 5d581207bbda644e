#include "step/split.hpp"

#include <algorithm>

#include "core/user.hpp"
#include "state/discrepancy.hpp"
#include "state/index.hpp"
#include "state/names.hpp"
#include "step/sync_trigger.hpp"
#include "step/violation.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

[[noreturn]] void raise_gone(const Migration &migration, const std::string &table) {
    raise(sqlstate::undefined_table, {},
          "{}: table {} was dropped; SELECT zdm.abort({}) closes the migration",
          described(migration), table, Literal(migration.name));
}

std::string present_name(const Migration &migration, const Migration &seen) {
    const auto quoted = quoted_relation(seen.relation);
    if (!quoted) raise_gone(migration, seen.relation_name);
    return *quoted;
}

std::string list(const std::vector<std::string> &names, const char *prefix) {
    std::vector<std::string> qualified;
    for (const auto &name : names) qualified.push_back(prefix + quote(Identifier(name)));
    return fmt::format("{}", fmt::join(qualified, ", "));
}

// What the triggers, the backfill and verify compare keys with: the part's primary key.
void read_key(Split &split) {
    const Rows rows = query(
        R"(SELECT a.attname, format('OPERATOR(%I.%s)', n.nspname, o.oprname)
             FROM pg_index i
             CROSS JOIN LATERAL unnest(i.indkey::int2[], i.indclass::oid[]) WITH ORDINALITY AS k(attnum, opclass, n)
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
             JOIN pg_opclass c ON c.oid = k.opclass
             JOIN pg_amop p ON p.amopfamily = c.opcfamily AND p.amoplefttype = c.opcintype
                           AND p.amoprighttype = c.opcintype AND p.amopstrategy = 3
             JOIN pg_operator o ON o.oid = p.amopopr JOIN pg_namespace n ON n.oid = o.oprnamespace
            WHERE i.indrelid = $1::oid AND i.indisprimary ORDER BY k.n)",
        {split.part.relation});
    if (rows.empty())
        raise(sqlstate::undefined_object, {},
              "{}: {} has lost its primary key; SELECT zdm.abort({}) and start again",
              described(split.source), split.part_table, Literal(split.source.name));
    for (size_t row = 0; row < rows.size(); ++row) {
        split.key_names.push_back(rows.text(row, 0));
        split.operators.push_back(rows.text(row, 1));
    }
}

void read_columns(Split &split, const Mapping &mapping) {
    for (const auto &column : mapping.old_columns) {
        split.column_names.push_back(column.name);
        if (query("SELECT FROM pg_attribute WHERE attrelid = $1::oid AND attname = $2 AND "
                  "attnotnull",
                  {split.part.relation, column.name})
                .empty())
            continue;
        split.demanded.push_back(column.name);
    }
}

std::string row_text(const Split &split, const char *alias) {
    return fmt::format("ROW({})::text", split.columns(fmt::format("{}.", alias).c_str()));
}

// Every row of the source, its counterpart, and what is wrong with the two.
std::string pairs_of_source(const Split &split, bool trusts_part) {
    const std::string absent =
        fmt::format("n.{} IS NOT DISTINCT FROM NULL", Identifier(split.key_names.front()));
    const std::string wrong = fmt::format(
        "CASE WHEN {} THEN CASE WHEN {} THEN '{}' END WHEN {} THEN '{}' END", absent,
        split.was_cut_over ? split.has_values("s") : "true", trusts_part ? "reverse" : "missing",
        split.differ("s.", "n."), trusts_part ? "reverse" : "stale");
    const std::string of_source = row_text(split, "s");
    const std::string of_part =
        fmt::format("CASE WHEN NOT ({}) THEN {} END", absent, row_text(split, "n"));
    return fmt::format(
        "SELECT {} AS class, {} AS key, {} AS expected_value, {} AS actual_value FROM ONLY {} AS s "
        "LEFT JOIN ONLY {} AS n ON {} WHERE s.ctid >= $1::tid AND s.ctid < $2::tid",
        wrong, row_key(split.key_names, "s."), trusts_part ? of_part : of_source,
        trusts_part ? of_source : of_part, split.source_table, split.part_table,
        split.same_key("s", "n"));
}

std::string rows_of_part(const Split &split) {
    return fmt::format(
        "SELECT CASE WHEN s.{} IS NOT DISTINCT FROM NULL THEN 'spurious' END AS class, {} AS key, "
        "NULL::text AS "
        "expected_value, {} AS actual_value FROM ONLY {} AS n LEFT JOIN ONLY {} AS s ON {} WHERE "
        "n.ctid >= $1::tid AND n.ctid < $2::tid",
        Identifier(split.key_names.front()), row_key(split.key_names, "n."), row_text(split, "n"),
        split.part_table, split.source_table, split.same_key("s", "n"));
}

std::string arguments(const Split &split, const char *role, bool trusts_part) {
    std::vector<std::string> values{split.trigger, role, trusts_part ? "new" : "old",
                                    std::to_string(split.key_names.size())};
    values.insert(values.end(), split.key_names.begin(), split.key_names.end());
    values.insert(values.end(), split.column_names.begin(), split.column_names.end());
    std::vector<std::string> literals;
    for (const auto &value : values) literals.push_back(quote(Literal(value)));
    return fmt::format("{}", fmt::join(literals, ", "));
}

struct TriggerOf {
    std::string name, events;
    bool on_part;
};

std::vector<TriggerOf> triggers(const Split &split) {
    const char *every_row = "AFTER INSERT OR UPDATE OR DELETE ON {} FOR EACH ROW";
    const char *truncate = "AFTER TRUNCATE ON {} FOR EACH STATEMENT";
    return {{split.trigger, every_row, false},
            {split.trigger + "_truncate", truncate, false},
            {split.trigger, every_row, true},
            {split.trigger + "_truncate", truncate, true},
            {split.trigger + "_insert", "BEFORE INSERT ON {} FOR EACH ROW", true}};
}

}  // namespace

std::string Split::same_key(const char *left, const char *right) const {
    std::vector<std::string> equal;
    for (size_t i = 0; i < key_names.size(); ++i)
        equal.push_back(fmt::format("{}.{} {} {}.{}", left, Identifier(key_names[i]), operators[i],
                                    right, Identifier(key_names[i])));
    return fmt::format("{}", fmt::join(equal, " AND "));
}

std::string Split::all_names(const char *prefix) const {
    return keys(prefix) + ", " + columns(prefix);
}

std::string Split::keys(const char *prefix) const { return list(key_names, prefix); }

std::string Split::columns(const char *prefix) const { return list(column_names, prefix); }

std::string Split::differ(const char *left, const char *right) const {
    return fmt::format("record_image_ne(ROW({}), ROW({}))", columns(left), columns(right));
}

std::string Split::storable(const char *alias) const {
    std::string condition = "true";
    for (const auto &name : demanded)
        condition += fmt::format(" AND {}.{} IS DISTINCT FROM NULL", alias, Identifier(name));
    return condition;
}

std::string Split::has_values(const char *alias) const {
    std::vector<std::string> given;
    for (const auto &name : column_names)
        given.push_back(fmt::format("{}.{} IS DISTINCT FROM NULL", alias, Identifier(name)));
    return fmt::format("({})", fmt::join(given, " OR "));
}

std::optional<Migration> part_of(const Migration &migration) {
    for (const auto &seen : on_each_table(migration))
        if (seen.relation != migration.relation) return seen;
    return std::nullopt;
}

Split load_split(const Migration &migration, const Mapping &mapping) {
    const auto part = part_of(migration);
    if (!part) raise_gone(migration, "of the split");
    Split split;
    split.source = migration;
    split.part = *part;
    split.source_table = present_name(migration, migration);
    split.part_table = present_name(migration, *part);
    split.trigger = sync_trigger_name(migration.id);
    split.was_cut_over = !catalog(R"(SELECT FROM zdm.step WHERE migration = $1::bigint
                                        AND kind = 'split_cutover' AND attempts > 0)",
                                  {migration.id})
                              .empty();
    read_key(split);
    read_columns(split, mapping);
    return split;
}

void create_mirror(const Split &split, bool trusts_part) {
    for (const auto &trigger : triggers(split)) {
        const std::string &table = trigger.on_part ? split.part_table : split.source_table;
        query(fmt::format("CREATE OR REPLACE TRIGGER {} {} EXECUTE FUNCTION zdm.mirror({})",
                          Identifier(trigger.name),
                          fmt::format(fmt::runtime(trigger.events), table),
                          arguments(split, trigger.on_part ? "part" : "source", trusts_part)));
        query(fmt::format("ALTER TABLE {} ENABLE ALWAYS TRIGGER {}", table,
                          Identifier(trigger.name)));
    }
    auto names = split.key_names;
    names.insert(names.end(), split.column_names.begin(), split.column_names.end());
    for (const auto *seen : {&split.source, &split.part})
        depend_on_columns(seen->relation, split.trigger, names);
}

void drop_mirror(const Migration &migration) {
    const std::string trigger = sync_trigger_name(migration.id);
    for (const auto &seen : on_each_table(migration)) {
        const auto table = quoted_relation(seen.relation);
        if (!table) continue;
        for (const char *suffix : {"", "_truncate", "_insert"})
            query(fmt::format("DROP TRIGGER IF EXISTS {} ON {}", Identifier(trigger + suffix),
                              *table));
    }
}

void check_mirror(const Split &split) {
    for (const auto &trigger : triggers(split)) {
        const Migration &seen = trigger.on_part ? split.part : split.source;
        if (!query("SELECT FROM pg_trigger WHERE tgrelid = $1::oid AND tgname = $2 AND tgenabled = "
                   "'A'",
                   {seen.relation, trigger.name})
                 .empty())
            continue;
        raise(sqlstate::not_ready, {},
              "{}: trigger {} of {} was disabled or dropped, so writes since may have parted the "
              "two tables; SELECT zdm.abort({}) and start again",
              described(split.source), Identifier(trigger.name), seen.relation_name,
              Literal(split.source.name));
    }
}

uint32_t blocks_that_fit(uint32_t last, double worked_ms, double box_ms) {
    constexpr double most_blocks = 4096;
    const double fit = last * box_ms / std::max(worked_ms, 0.1);
    return static_cast<uint32_t>(std::clamp(fit, 1.0, std::min(last * 2.0, most_blocks)));
}

void join_by_key() {
    for (const char *way : {"enable_hashjoin", "enable_mergejoin", "enable_seqscan"})
        query(fmt::format("SET LOCAL {} = off", way));
}

SplitFinding check_rows(const Split &split, const SplitCheck &what) {
    const bool of_source = what.heap->relation == split.source.relation;
    Rows rows;
    {
        OwnerScope as_owner(split.source.owner);
        rows = query(fmt::format(R"(SELECT count(*), count(class),
                                           jsonb_agg(jsonb_build_object('class', class, 'key', key, 'expected_value', expected_value,
                                                                        'actual_value', actual_value)) FILTER (WHERE class IS NOT NULL)
                                      FROM ({}) AS pairs)",
                                 of_source ? pairs_of_source(split, split.source.soaking())
                                           : rows_of_part(split)),
                     {what.first, what.last});
    }
    const SplitFinding found{rows.integer(0, 0), rows.integer(0, 1)};
    if (found.discrepancies > 0)
        insert_listed_discrepancies(split.source, what.heap->relation, rows.text(0, 2), what.limit);
    return found;
}

int64_t verify_split(const Split &split, int limit) {
    constexpr int64_t blocks_at_once = 4096;
    check_mirror(split);
    int64_t count = 0;
    for (const auto *heap : {&split.source, &split.part}) {
        const int64_t blocks =
            query("SELECT pg_relation_size($1::oid) / current_setting('block_size')::bigint",
                  {heap->relation})
                .integer(0, 0);
        for (int64_t block = 0; block < blocks; block += blocks_at_once)
            count += check_rows(split, {heap, fmt::format("({},0)", block),
                                        fmt::format("({},0)", block + blocks_at_once), limit})
                         .discrepancies;
    }
    return count;
}

// The side that the phase trusts decides. A row of the part without a source is not for us to
// delete when the part is trusted: nothing else has its values.
int64_t repair_split(const Split &split) {
    const bool trusts_part = split.source.soaking();
    const Migration &trusted = trusts_part ? split.part : split.source;
    int64_t count = 0;
    for (const auto &found : open_discrepancies(split.source)) {
        if (trusts_part && found.relation == split.part.relation) continue;
        std::vector<std::string> key;
        std::vector<const char *> pointers;
        for (const auto &name : split.key_names)
            key.push_back(query("SELECT $1::jsonb ->> $2", {found.key, name}).text(0, 0));
        for (const auto &value : key) pointers.push_back(value.c_str());
        bool changed = false;
        {
            OwnerScope as_owner(split.source.owner);
            check(zdm_mirror_resync(trusted.relation, split.trigger.c_str(), pointers.data(),
                                    &changed));
        }
        resolve_discrepancy(found.row_id);
        count += changed;
    }
    return count;
}

}  // namespace zdm
