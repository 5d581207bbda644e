// drop_index: DROP INDEX CONCURRENTLY by the worker. What rests on the index (a constraint, a
// foreign key, the replica identity) is refused by name. The first step keeps the text that makes
// the index again, for an abort after the drop has begun.
#include "kind/kinds.hpp"
#include "state/index.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

void check_needless(const Table &table, const Index &index) {
    const Rows rows = query(
        R"(SELECT k.contype, k.conname,
                  (SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                    WHERE c.oid = k.conrelid)
             FROM pg_constraint k WHERE k.conindid = $1::oid AND k.conparentid = 0 ORDER BY k.contype = 'f', k.conname LIMIT 1)",
        {index.oid});
    const auto refuse = [&](const std::string &why) {
        raise(sqlstate::unsupported, {}, "zdm: cannot drop index {} of {}: {}",
              Identifier(index.name), table.name, why);
    };
    if (!rows.empty() && rows.text(0, 0) == "f")
        refuse(fmt::format("foreign key {} of {} refers to it; drop that first",
                           Identifier(rows.text(0, 1)), rows.text(0, 2)));
    if (!rows.empty())
        refuse(fmt::format(
            "it backs constraint {}; ALTER TABLE {} DROP CONSTRAINT {} (a short ACCESS EXCLUSIVE "
            "lock) drops both",
            Identifier(rows.text(0, 1)), table.quoted, Identifier(rows.text(0, 1))));
    if (query("SELECT indisreplident FROM pg_index WHERE indexrelid = $1::oid", {index.oid})
            .boolean(0, 0))
        refuse(
            "it is the replica identity, without which published updates fail; ALTER TABLE ... "
            "REPLICA IDENTITY to another one first");
    if (index.attached) {
        const Rows parent = query(
            R"(SELECT format('%I.%I', n.nspname, c.relname)
                 FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhparent JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE i.inhrelid = $1::oid)",
            {index.oid});
        refuse(fmt::format("it is part of index {}; SELECT zdm.drop_index({}) drops the whole",
                           parent.text(0, 0), Literal(parent.text(0, 0))));
    }
}

void complete(Draft &draft, const Table &table, const Index &index) {
    check_needless(table, index);
    draft.target = Phase::done;
    draft.direct = {fmt::format("DROP INDEX {}", index.quoted)};
    if (index.partitioned) {
        draft.steps = {{0, Phase::done, "drop_partitioned_index", index.name,
                        "Drop the index with those of all partitions, which the server cannot do "
                        "CONCURRENTLY",
                        fmt::format("DROP INDEX {}", index.quoted), "ACCESS EXCLUSIVE"}};
        draft.steps[0].related = index.oid;
        return;
    }
    Step keep{0,
              Phase::build,
              "keep_index_definition",
              index.name,
              "Keep what makes the index again, should this be aborted",
              query("SELECT pg_get_indexdef($1::oid)", {index.oid}).text(0, 0),
              ""};
    Step drop{0,
              Phase::build,
              "drop_listed_index",
              index.name,
              fmt::format("Drop index {} beside the writes", Identifier(index.name)),
              fmt::format("DROP INDEX CONCURRENTLY {}", index.quoted),
              "SHARE UPDATE EXCLUSIVE"};
    keep.related = drop.related = index.oid;
    draft.steps = {drop};
    // One that is not valid may not be possible to make.
    if (index.valid) draft.steps.insert(draft.steps.begin(), keep);
}

}  // namespace

uint32_t table_of_index(uint32_t oid) {
    const auto index = find_index(oid);
    if (!index) {
        const auto relation = quoted_relation(oid);
        raise(relation ? "42809" : sqlstate::undefined_object, {}, "zdm: cannot drop index {}: {}",
              relation.value_or(std::to_string(oid)),
              relation ? "it is not an index" : "there is none with that OID");
    }
    return index->relation;
}

Draft draft_drop_index(const Table &table, uint32_t oid) {
    const Index index = *find_index(oid);
    Draft draft;
    draft.kind = "drop_index";
    draft.object = index.name;
    draft.definition = fmt::format("drop_index {} ({})", index.quoted, index.oid);
    draft.complete = [=](Draft &self) { complete(self, table, index); };
    return draft;
}

}  // namespace zdm
