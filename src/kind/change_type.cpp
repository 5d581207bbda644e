// change_type: a shadow column zdm_new_<column> of the new type takes over the column's name at
// cutover. Where the server can change the type without a rewrite there is nothing to shadow: one
// short ALTER.
#include "kind/kinds.hpp"
#include "kind/mapping_plan.hpp"
#include "state/names.hpp"

#include "core/transaction.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

// A plain ALTER is short only where nothing has to be checked or built again for it: it
// re-validates CHECK constraints and rebuilds indexes with expressions or predicates, under lock.
bool alter_is_short(const Table &table, const Column &column, const ZdmType &type) {
    bool rewrites = true;
    check(zdm_type_change_rewrites(table.relation, column.attnum, &type, &rewrites));
    if (rewrites) return false;
    return query(R"(SELECT FROM pg_depend d
                     WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = $1::oid AND d.refobjsubid = $2::integer
                       AND ((d.classid = 'pg_constraint'::regclass
                             AND (SELECT contype FROM pg_constraint WHERE oid = d.objid) IN ('c', 'f', 'x'))
                            OR (d.classid = 'pg_class'::regclass
                                AND EXISTS (SELECT FROM pg_index i WHERE i.indexrelid = d.objid
                                               AND (i.indpred IS NOT NULL OR i.indexprs IS NOT NULL)))
                            OR d.classid IN ('pg_rewrite'::regclass, 'pg_trigger'::regclass, 'pg_policy'::regclass)))",
                 {table.relation, column.attnum})
        .empty();
}

void complete(Draft &draft, const Table &table, const Column &column, const std::string &new_type,
              const Text &forward, const Text &reverse) {
    const ZdmType type = new_column_type(table, new_type);
    if (column.type == type.oid && column.typmod == type.typmod && !forward) {
        draft.target = Phase::done;  // nothing to do, and the caller's deploy goes on
        return;
    }
    if (!forward && alter_is_short(table, column, type)) {
        const std::string sql = fmt::format("ALTER TABLE {} ALTER COLUMN {} TYPE {}", table.quoted,
                                            Identifier(column.name), type.name);
        draft.target = Phase::done;
        draft.steps = {{0, Phase::done, "alter_type", "", "Change the type, which rewrites nothing",
                        sql, "ACCESS EXCLUSIVE"}};
        return;
    }

    const ZdmType old_type = column_type(column);
    check_new_column_name(table, new_column_name(column.name));
    if (find_column(table, old_column_name(column.name)))
        raise(sqlstate::duplicate_column, {},
              "zdm: table {} has a column {} already, the name that {} gets at cutover", table.name,
              Identifier(old_column_name(column.name)), Identifier(column.name));

    ZdmExpression to_new{};
    const auto no_cast = attempt({"42804"}, [&] {
        to_new = canonical(table, draft,
                           {forward ? *forward : quote(Identifier(column.name)),
                            {parameter(column.name, old_type)},
                            type,
                            false});
    });
    if (no_cast)
        raise(
            "42804", {},
            "zdm: cannot change column {} of {} to {}: {}; give forward, an SQL expression over {} "
            "that gives the new value",
            Identifier(column.name), table.name, type.name, no_cast->what(),
            Identifier(column.name));

    // No cast back: the migration is not revertible once values exist that were written new.
    const ZdmColumn hidden{"", 0, old_type.oid, old_type.typmod, old_type.collation};
    ZdmExpression to_old{"", false, true};
    const auto no_way_back = attempt({"42804", "42846"}, [&] {
        to_old = canonical(table, draft,
                           {reverse ? *reverse : quote(Identifier(column.name)),
                            {hidden, parameter(column.name, type)},
                            old_type,
                            !reverse});
    });
    if (no_way_back && reverse)
        raise("42804", {},
              "zdm: reverse of column {} of {} does not give a value of its type {}: {}",
              Identifier(column.name), table.name, old_type.name, no_way_back->what());

    draft.mapping.old_columns = {
        {column.name, old_column_name(column.name), column.type_name, to_old.text, to_old.total}};
    draft.mapping.new_columns = {
        {new_column_name(column.name), column.name, type.name, to_new.text, to_new.total}};
}

}  // namespace

Draft draft_change_type(const Table &table, const std::string &column_name,
                        const std::string &new_type, const Text &forward, const Text &reverse,
                        bool cascade) {
    ZdmType type{};
    check(zdm_type_parse(new_type.c_str(), false, &type));
    Draft draft;
    draft.kind = "change_type";
    draft.object = column_name;
    draft.columns = {column_name};
    draft.definition = fmt::format("change_type {} to {} forward {} reverse {} cascade {}",
                                   Identifier(column_name), type.name, forward.value_or("(cast)"),
                                   reverse.value_or("(cast)"), cascade);
    const auto now = find_column(table, column_name);
    draft.already_so = now && now->type == type.oid && now->typmod == type.typmod;
    draft.complete = [=](Draft &self) {
        complete(self, table, column_for_migration(table, column_name), new_type, forward, reverse);
    };
    return draft;
}

}  // namespace zdm
