#include "carry/carrier.hpp"

#include <algorithm>

#include "core/transaction.hpp"
#include "state/names.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

const Carrier *Carrier::first_ = nullptr;

std::vector<const Carrier *> Carrier::all() {
    std::vector<const Carrier *> carriers;
    for (const Carrier *carrier = first_; carrier != nullptr; carrier = carrier->next_)
        carriers.push_back(carrier);
    std::sort(carriers.begin(), carriers.end(),
              [](const Carrier *a, const Carrier *b) { return a->rank() < b->rank(); });
    return carriers;
}

const Carrier &Carrier::find_carrier(const std::string &name) {
    for (const Carrier *carrier = first_; carrier != nullptr; carrier = carrier->next_)
        if (name == carrier->name()) return *carrier;
    raise(sqlstate::undefined_object, {}, "zdm: this version knows no carrier \"{}\"", name);
}

CarryScope carry_scope(const Migration &migration, const Mapping &mapping) {
    const Rows rows = catalog(
        "SELECT n.nspname, c.relname, c.relkind = 'p' FROM pg_class c JOIN pg_namespace n ON n.oid "
        "= c.relnamespace "
        "WHERE c.oid = $1::oid",
        {migration.relation});
    if (rows.empty())
        raise(sqlstate::undefined_table, {},
              "{}: the table was dropped; SELECT zdm.abort({}) closes the migration",
              described(migration), Literal(migration.name));
    const std::string schema = quote(Identifier(rows.text(0, 0)));
    return {migration,
            mapping,
            fmt::format("{}.{}", schema, Identifier(rows.text(0, 1))),
            schema,
            rows.boolean(0, 2),
            migration.soaking()};
}

CarryScope scope_on(const CarryScope &table, uint32_t relation) {
    if (relation == table.migration.relation) return table;
    Migration seen = table.migration;
    seen.relation = relation;
    CarryScope partition = carry_scope(seen, table.mapping);
    partition.soak_names = table.soak_names;
    return partition;
}

CarryScope scope_of(const CarryScope &table, const Carried &carried) {
    return scope_on(table, relation_of(table, carried));
}

std::vector<Step> on(const CarryScope &scope, std::vector<Step> steps) {
    for (auto &step : steps) step.relation = scope.migration.relation;
    return steps;
}

CarryScope turned_round(const CarryScope &scope) {
    CarryScope other_way = scope;
    std::swap(other_way.mapping.old_columns, other_way.mapping.new_columns);
    return other_way;
}

CarryScope as_before(CarryScope scope) {
    scope.soak_names = false;
    return scope;
}

bool reads_present_columns(const CarryScope &scope, uint32_t relation, const std::string &columns) {
    std::vector<std::string> names;
    for (const auto &column : scope.mapping.new_columns) names.push_back(column.soak_name);
    return !query(
                R"(SELECT FROM pg_attribute
                    WHERE attrelid = $1::oid AND attname = ANY (string_to_array($2, E'\x01'))
                      AND format('%s.%s', attrelid, attnum) = ANY (string_to_array($3, ' ')))",
                {relation, fmt::format("{}", fmt::join(names, "\x01")), columns})
                .empty();
}

Carried followed(const Carried *recorded, bool untouched, const std::function<Carried()> &now) {
    if (recorded == nullptr || !untouched) return now();
    Carried carried = *recorded;
    (void)attempt({sqlstate::unsupported}, [&] { carried = now(); });
    return carried;
}

const Carried *same_named(const std::vector<Carried> &among, const std::string &object,
                          uint32_t related) {
    for (const auto &one : among)
        if (one.object == object && one.related == related) return &one;
    return nullptr;
}

std::vector<CarryScope> scopes_of(const Migration &migration) {
    std::vector<CarryScope> scopes;
    for (const auto &seen : on_each_table(migration))
        scopes.push_back(carry_scope(seen, load_mapping(seen)));
    return scopes;
}

namespace {

std::vector<Dependent> dependents_of(const CarryScope &scope,
                                     const std::vector<MappedColumn> &columns) {
    // Not what belongs to the sync trigger of a migration: that one is zdm's own.
    std::vector<std::string> names;
    for (const auto &column : columns) names.push_back(column.current_name(scope.soak_names));
    const Rows rows = query(
        R"(SELECT DISTINCT d.classid, d.objid, d.objsubid, pg_describe_object(d.classid, d.objid, d.objsubid)
             FROM pg_depend d
             JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
            WHERE d.refclassid = 'pg_class'::regclass
              AND d.refobjid = ANY ()" ZDM_TREE_OF("$1::oid") R"()
              AND a.attname = ANY (string_to_array($2, E'\x01')) AND NOT a.attisdropped
              -- What a partition has from its parent goes with the parent's.
              AND NOT (d.refobjid <> $1::oid
                       AND (d.classid = 'pg_attrdef'::regclass
                            OR (d.classid = 'pg_class'::regclass
                                AND EXISTS (SELECT FROM pg_class i WHERE i.oid = d.objid AND i.relispartition))
                            OR (d.classid = 'pg_constraint'::regclass
                                AND EXISTS (SELECT FROM pg_constraint k WHERE k.oid = d.objid AND (k.conparentid <> 0 OR k.coninhcount > 0)))
                            OR (d.classid = 'pg_trigger'::regclass
                                AND EXISTS (SELECT FROM pg_trigger t WHERE t.oid = d.objid AND t.tgparentid <> 0))))
              AND NOT (d.classid = 'pg_trigger'::regclass
                       AND EXISTS (SELECT FROM pg_trigger t WHERE t.oid = d.objid AND t.tgname LIKE '~zdm\_sync\_%'))
            ORDER BY 1, 2, 3)",
        {scope.migration.relation, fmt::format("{}", fmt::join(names, "\x01"))});
    std::vector<Dependent> dependents;
    for (size_t row = 0; row < rows.size(); ++row)
        dependents.push_back({rows.oid(row, 0), rows.oid(row, 1),
                              static_cast<int>(rows.integer(row, 2)), rows.text(row, 3), false});
    return dependents;
}

}  // namespace

namespace {

// Two migrations may share an index or a constraint. What the earlier one has built or kept is
// carried like any other; the counterparts of a later one are not, or each would carry the other's
// for ever: where the earlier one cuts over first, the later finds its own out of date and builds
// them anew.
bool builds_anew(const CarryScope &scope, const std::string &object) {
    const auto other = object_of_migration(object);
    return other && other->is_new && other->migration > scope.migration.id;
}

void refuse_unclaimed(const CarryScope &scope, const std::vector<Dependent> &dependents) {
    std::vector<std::string> unclaimed;
    for (const auto &dependent : dependents)
        if (!dependent.claimed) unclaimed.push_back(dependent.description);
    if (!unclaimed.empty())
        raise(sqlstate::unsupported, {},
              "zdm: {}: {} depends on it and cannot come along yet; drop it first and create it "
              "again after cutover",
              described(scope), fmt::join(unclaimed, ", "));
}

bool claim_half_built(std::vector<Dependent> &dependents, const HalfBuiltIndex &index) {
    return claim(dependents, pg_class_id, index.oid) ||
           claim(dependents, pg_constraint_id, index.constraint);
}

}  // namespace

std::optional<HalfBuiltIndex> half_built_index(const CarryScope &scope) {
    const auto indexes = half_built_indexes(scope.migration.relation);
    if (indexes.empty()) return std::nullopt;
    std::vector<Dependent> dependents = dependents_of(scope, scope.mapping.old_columns);
    for (const auto &index : indexes)
        if (claim_half_built(dependents, index)) return index;
    return std::nullopt;
}

std::vector<Carried> find_carried(const CarryScope &scope) {
    std::vector<Dependent> dependents = dependents_of(scope, scope.mapping.old_columns);
    for (const auto &index : half_built_indexes(scope.migration.relation))
        claim_half_built(dependents, index);
    std::vector<Carried> all;
    for (const Carrier *carrier : Carrier::all())
        for (auto &one : carrier->find(scope, dependents))
            if (!builds_anew(scope, one.object)) all.push_back(std::move(one));

    refuse_unclaimed(scope, dependents);
    return all;
}

std::vector<Carried> find_remade(const CarryScope &scope) {
    std::vector<Dependent> dependents = dependents_of(
        scope, scope.soak_names ? scope.mapping.new_columns : scope.mapping.old_columns);
    dependents.erase(
        std::remove_if(dependents.begin(), dependents.end(),
                       [](const Dependent &one) { return one.class_id != pg_rewrite_id; }),
        dependents.end());
    std::vector<Carried> all;
    for (const Carrier *carrier : Carrier::all())
        if (carrier->is_remade())
            for (auto &one : carrier->find(scope, dependents)) all.push_back(std::move(one));
    // One table of several has the materialized views of all.
    for (const auto &view : carried_objects(scope.migration, "materialized_view")) {
        const Rows rows =
            query("SELECT oid FROM pg_rewrite WHERE ev_class = to_regclass($1)", {view});
        for (size_t row = 0; row < rows.size(); ++row)
            claim(dependents, pg_rewrite_id, rows.oid(row, 0));
    }
    refuse_unclaimed(scope, dependents);
    return all;
}

bool is_remade(const Carried &carried) {
    return Carrier::find_carrier(carried.carrier).is_remade();
}

bool CarryScope::keeps_names() const {
    if (!is_paired()) return false;
    for (size_t pair = 0; pair < mapping.old_columns.size(); ++pair)
        if (mapping.old_columns[pair].name != mapping.new_columns[pair].soak_name) return false;
    return true;
}

std::string fingerprint(const std::vector<CarryScope> &scopes) {
    std::vector<uint32_t> tables;
    std::vector<std::string> columns;  // that partitions have their own settings of
    for (const auto &scope : scopes) {
        tables.push_back(scope.migration.relation);
        for (const auto *side : {&scope.mapping.old_columns, &scope.mapping.new_columns})
            for (const auto &column : *side)
                columns.push_back(column.current_name(scope.soak_names));
    }
    return catalog(
               R"(SELECT string_agg((WITH RECURSIVE reader(oid) AS (
                      SELECT r.ev_class
                        FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
                       WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
                         AND d.refobjid = ANY ()" ZDM_TREE_OF("k.oid") R"()
                      UNION
                      SELECT r.ev_class
                        FROM reader JOIN pg_depend d ON d.refobjid = reader.oid JOIN pg_rewrite r ON r.oid = d.objid
                       WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass)
                  SELECT md5(concat_ws('|',
                      (SELECT string_agg(concat_ws(' ', reader.oid, c.xmin, o.rolname, s.nspname,
                                  (SELECT string_agg(concat_ws(' ', r.oid, r.xmin), ',' ORDER BY r.oid) FROM pg_rewrite r WHERE r.ev_class = c.oid),
                                  (SELECT string_agg(a.xmin::text, ',' ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0),
                                  (SELECT string_agg(concat_ws(' ', t.oid, t.xmin), ',' ORDER BY t.oid) FROM pg_trigger t WHERE t.tgrelid = c.oid),
                                  (SELECT string_agg(concat_ws(' ', f.oid, f.xmin), ',' ORDER BY f.oid) FROM pg_attrdef f WHERE f.adrelid = c.oid),
                                  (SELECT string_agg(concat_ws(' ', x.objsubid, x.xmin), ',' ORDER BY x.objsubid)
                                     FROM pg_description x WHERE x.classoid = 'pg_class'::regclass AND x.objoid = c.oid),
                                  (SELECT string_agg(concat_ws(' ', d.classid, d.objid), ',' ORDER BY d.classid, d.objid)
                                     FROM pg_depend d WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid)),
                              ',' ORDER BY reader.oid)
                         FROM reader JOIN pg_class c ON c.oid = reader.oid JOIN pg_roles o ON o.oid = c.relowner
                         JOIN pg_namespace s ON s.oid = c.relnamespace),
                      (SELECT string_agg(concat_ws(' ', xmin, attname, attnum), ',' ORDER BY attnum)
                         FROM pg_attribute WHERE attrelid = k.oid AND attnum > 0),
                      (SELECT string_agg(concat_ws(' ', xmin, attrelid, attname), ',' ORDER BY attrelid, attnum)
                         FROM pg_attribute WHERE attrelid = ANY (tree) AND attname = ANY (string_to_array($2, E'\x01'))),
                      (SELECT string_agg(concat_ws(' ', classid, objid, refobjsubid), ',' ORDER BY classid, objid, refobjsubid)
                         FROM pg_depend WHERE refclassid = 'pg_class'::regclass AND refobjid = ANY (tree)),
                      (SELECT string_agg(concat_ws(' ', oid, xmin), ',' ORDER BY oid) FROM pg_constraint
                         WHERE oid = ANY (ARRAY(SELECT objid FROM pg_depend WHERE classid = 'pg_constraint'::regclass
                                                   AND refclassid = 'pg_class'::regclass AND refobjid = ANY (tree)))),
                      (SELECT string_agg(concat_ws(' ', indexrelid, xmin), ',' ORDER BY indexrelid) FROM pg_index WHERE indrelid = ANY (tree)),
                      (SELECT string_agg(concat_ws(' ', oid, xmin), ',' ORDER BY oid) FROM pg_attrdef
                         WHERE adrelid = ANY (tree)),
                      (SELECT string_agg(concat_ws(' ', oid, xmin), ',' ORDER BY oid) FROM pg_trigger WHERE tgrelid = ANY (tree)),
                      (SELECT string_agg(concat_ws(' ', oid, xmin), ',' ORDER BY oid) FROM pg_policy WHERE polrelid = ANY (tree)),
                      (SELECT string_agg(relid::oid::text, ',' ORDER BY relid) FROM pg_partition_tree(k.oid::regclass))))), '' ORDER BY k.oid)
                    FROM unnest(string_to_array($1, ' ')::oid[]) AS k(oid)
                   CROSS JOIN LATERAL (SELECT )" ZDM_TREE_OF("k.oid") R"( AS tree OFFSET 0) AS t)",
               {fmt::format("{}", fmt::join(tables, " ")),
                fmt::format("{}", fmt::join(columns, "\x01"))})
        .text(0, 0);
}

bool claim(std::vector<Dependent> &dependents, uint32_t class_id, uint32_t object) {
    bool found = false;
    for (auto &dependent : dependents)
        if (dependent.class_id == class_id && dependent.object == object)
            found = dependent.claimed = true;
    return found;
}

std::string columns_of(uint32_t class_id, uint32_t object) {
    return query(
               R"(SELECT string_agg(DISTINCT format('%s.%s', refobjid, refobjsubid), ' ')
                    FROM pg_depend WHERE classid = $1::oid AND objid = $2::oid
                     AND refclassid = 'pg_class'::regclass AND refobjsubid > 0)",
               {class_id, object})
        .text(0, 0);
}

std::string rebound(const CarryScope &scope, const std::string &expression, Side side, Names names,
                    const std::string &object, const Generated &generated) {
    std::vector<std::string> old_names, replacements;
    std::vector<ZdmType> types;
    for (size_t pair = 0; pair < scope.mapping.old_columns.size(); ++pair) {
        const auto &column = column_at(scope, side, pair);
        old_names.push_back(scope.mapping.old_columns[pair].current_name(scope.soak_names));
        replacements.push_back(quote(Identifier(name_of(column, names))));
        ZdmType type{};
        check(zdm_type_parse(column.type.c_str(), true, &type));
        types.push_back(type);
    }
    std::vector<ZdmColumn> mapped;
    for (size_t pair = 0; pair < types.size(); ++pair)
        mapped.push_back({old_names[pair].c_str(), 0, types[pair].oid, types[pair].typmod,
                          types[pair].collation});
    const char *text = nullptr;
    const auto error = attempt({"42883", "42804", "42725", "42846", "42P17"}, [&] {
        check(zdm_expression_remap(
            generated.relation != 0 ? generated.relation : scope.migration.relation,
            generated.attnum, expression.c_str(), static_cast<int>(mapped.size()), mapped.data(),
            &text));
    });
    if (error)
        raise(
            sqlstate::unsupported, {},
            "zdm: {}: {} would not work with the new type ({}); drop it first and create it again "
            "after cutover",
            described(scope), object, error->what());
    return with_parameters(text, replacements);
}

bool gives_in_soak(const CarryScope &scope, const std::string &expression,
                   const std::string &present, const std::string &object,
                   const Generated &generated) {
    std::string now;
    const auto error = attempt({"42703", sqlstate::unsupported}, [&] {
        now = rebound(as_before(scope), expression, Side::new_side, Names::soak, object, generated);
    });
    return !error && now == present;
}

Identifier column_of(const CarryScope &scope, Side side, const std::string &old_column) {
    for (size_t pair = 0; pair < scope.mapping.old_columns.size(); ++pair)
        if (scope.mapping.old_columns[pair].name == old_column)
            return Identifier(column_at(scope, side, pair).current_name(scope.soak_names));
    raise(sqlstate::undefined_column, {}, "{}: column {} is not part of it",
          described(scope.migration), Identifier(old_column));
}

std::optional<size_t> pair_at(const CarryScope &scope, const std::string &column) {
    for (size_t pair = 0; pair < scope.mapping.old_columns.size(); ++pair)
        if (scope.mapping.old_columns[pair].current_name(scope.soak_names) == column) return pair;
    return std::nullopt;
}

const MappedColumn &column_at(const CarryScope &scope, Side side, size_t pair) {
    return side == Side::old_side ? scope.mapping.old_columns.at(pair)
                                  : scope.mapping.new_columns.at(pair);
}

const std::string &name_of(const MappedColumn &column, Names names) {
    return column.current_name(names == Names::soak);
}

Step drop_constraint_step(const CarryScope &scope, Phase phase, const std::string &constraint) {
    return {0,
            phase,
            "drop_constraint",
            constraint,
            fmt::format("Take down constraint {}", Identifier(constraint)),
            fmt::format("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}", scope.table,
                        Identifier(constraint)),
            "ACCESS EXCLUSIVE"};
}

std::string described(const CarryScope &scope) {
    std::vector<std::string> names, types;
    for (const auto &column : scope.mapping.old_columns)
        names.push_back(quote(Identifier(column.name)));
    for (const auto &column : scope.mapping.new_columns) types.push_back(column.type);
    const std::string what =
        fmt::format("cannot change column{} {} of {}", names.size() == 1 ? "" : "s",
                    fmt::join(names, ", "), scope.migration.relation_name);
    if (scope.migration.kind != "change_type") return what;
    return fmt::format("{} to {}", what, fmt::join(types, ", "));
}

}  // namespace zdm
