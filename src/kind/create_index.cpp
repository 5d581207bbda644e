// create_index: any CREATE INDEX statement, from inside any transaction; the worker builds it
// CONCURRENTLY, a partitioned table's partition by partition.
#include "carry/index_definition.hpp"
#include "core/user.hpp"
#include "kind/kinds.hpp"
#include "state/index.hpp"
#include "state/names.hpp"
#include "step/partitioned_index.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

ZdmIndexDefinition parse(const Table &table, const std::string &statement) {
    // Checked and planned as the owner: so it will be run, and it may call the owner's functions.
    OwnerScope as_owner(table.owner);
    ZdmIndexDefinition definition{};
    check(zdm_index_parse(statement.c_str(), table.relation, &definition));
    return definition;
}

// A relation of that name in the table's schema, whatever it is.
bool is_taken(const Table &table, const std::string &name) {
    return !query(R"(SELECT FROM pg_class
                      WHERE relname = $2 AND relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = $1::oid))",
                  {table.relation, name})
                .empty();
}

bool is_built(const Table &table, const std::string &name, const std::string &meaning) {
    const auto index = find_index(table.relation, name);
    if (!index || !index->valid) return false;
    OwnerScope as_owner(table.owner);
    return index_meaning(*index) == meaning;
}

// Under whatever name, for a request without one.
bool is_built(const Table &table, const std::string &meaning) {
    for (const auto &index : indexes_of(table.relation))
        if (is_built(table, index.name, meaning)) return true;
    return false;
}

// Leaves nothing to do (IF NOT EXISTS), or raises.
void check_name(Draft &draft, const Table &table, const ZdmIndexDefinition &definition,
                const std::string &meaning) {
    if (!definition.name || !is_taken(table, definition.name)) return;
    const auto index = find_index(table.relation, definition.name);
    if (index && !index->valid)
        raise("42P07", {},
              "zdm: cannot create index {} on {}: there is one of that name, unfinished and "
              "invalid; if nobody builds it at this moment, SELECT zdm.drop_index({}) first",
              Identifier(definition.name), table.name, Literal(index->quoted));
    if (!definition.if_not_exists && !is_built(table, definition.name, meaning))
        raise("42P07", {},
              "zdm: cannot create index {} on {}: there is another relation of that name in the "
              "schema; choose another name",
              Identifier(definition.name), table.name);
    draft.target = Phase::done;
    draft.already_so = true;
}

void complete(Draft &draft, const Table &table, const std::string &statement) {
    const ZdmIndexDefinition definition = parse(table, statement);
    if (definition.only)
        raise(sqlstate::unsupported, {},
              "zdm: cannot create an index ON ONLY {}: it would stay invalid; leave ONLY out, zdm "
              "builds it partition by partition",
              table.name);
    draft.target = Phase::done;
    check_name(draft, table, definition, index_meaning(definition));
    if (draft.already_so) return;

    const std::string name = definition.free_name;
    const bool named = definition.name != nullptr;
    draft.direct = {index_text(definition, table.quoted, name, IndexBuild::plain)};
    if (table.partitioned) {
        const std::string text = index_text(definition, table.quoted, name, IndexBuild::only);
        draft.steps = {{0, Phase::build, "create_partitioned_index", name,
                        "Create the index without its partitions, which reads no row", text,
                        "SHARE"}};
        draft.plan = [=](const Migration &migration) {  // and again when the first step is done
            OwnerScope as_owner(table.owner);
            return partition_index_steps(migration, name, text);
        };
        return;
    }
    const std::string text = index_text(definition, table.quoted, name, IndexBuild::concurrently);
    draft.plan = [=](const Migration &migration) -> std::vector<Step> {
        const std::string shadow = new_object_name(migration.id, name);
        return {{0, Phase::build, "build_index", shadow, building_index(name), text,
                 "SHARE UPDATE EXCLUSIVE"},
                {0, Phase::build, "name_index", shadow,
                 fmt::format("Give index {} its name", Identifier(name)),
                 named ? fmt::format("ALTER INDEX {}.{} RENAME TO {}", table.schema,
                                     Identifier(shadow), Identifier(name))
                       : "",
                 "SHARE UPDATE EXCLUSIVE"}};
    };
}

}  // namespace

uint32_t table_of_index_statement(const std::string &statement) {
    uint32_t relation = 0;
    try {
        check(zdm_index_relation(statement.c_str(), &relation));
    } catch (Error &error) {
        raise(error.sqlstate().c_str(), {error.detail(), ""},
              "zdm: cannot create an index: {}; correct the call and repeat it",
              std::string(error.what()));
    }
    return relation;
}

Draft draft_create_index(const Table &table, const std::string &statement) {
    const ZdmIndexDefinition definition = parse(table, statement);
    const std::string meaning = index_meaning(definition);
    Draft draft;
    draft.kind = "create_index";
    draft.object = definition.first_name;
    draft.definition =
        fmt::format("create_index {}{}",
                    definition.name ? quote(Identifier(definition.name)) + " " : "", meaning);
    draft.already_so =
        definition.name ? is_built(table, definition.name, meaning) : is_built(table, meaning);
    draft.complete = [=](Draft &self) {
        self.already_so = false;
        complete(self, table, statement);
    };
    return draft;
}

}  // namespace zdm
