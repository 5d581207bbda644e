// create_partitioned_index, create_partitioned_key, attach_index, finish_index: an index on a
// partitioned table, partition by partition; on its own or as that of a key (PRIMARY KEY, UNIQUE),
// where each part is a constraint as well.
//
// First the index of the partitioned table itself and of every partitioned table below it, ON ONLY,
// which reads no row: they are invalid until every partition has its own. From then on a partition
// that is created or attached brings its index along. Then each leaf that was there before: built
// CONCURRENTLY (build_index) and attached, which makes the whole valid at the last one. An index
// that a leaf has already, equal in all but its name, is attached as it is.
#include "step/partitioned_index.hpp"

#include <algorithm>
#include <map>

#include "state/index.hpp"
#include "state/names.hpp"
#include "step/lock.hpp"
#include "step/utility.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

struct Part {
    uint32_t relation = 0;
    uint32_t parent = 0;
    bool leaf = false;
};

std::vector<Part> parts_of(uint32_t table) {
    const Rows rows = query(
        R"(SELECT relid::oid, parentrelid::oid, isleaf FROM pg_partition_tree($1::oid::regclass)
            WHERE level > 0 ORDER BY level, relid)",
        {table});
    std::vector<Part> parts;
    for (size_t row = 0; row < rows.size(); ++row)
        parts.push_back({rows.oid(row, 0), rows.oid(row, 1), rows.boolean(row, 2)});
    return parts;
}

// By table: what is attached to that partitioned index, itself included.
std::map<uint32_t, uint32_t> tree_of(uint32_t root_index) {
    const Rows rows = query(
        R"(SELECT i.indrelid, i.indexrelid FROM pg_partition_tree($1::oid::regclass) t
             JOIN pg_index i ON i.indexrelid = t.relid)",
        {root_index});
    std::map<uint32_t, uint32_t> indexes;
    for (size_t row = 0; row < rows.size(); ++row) indexes[rows.oid(row, 0)] = rows.oid(row, 1);
    return indexes;
}

void attach(uint32_t parent, const Index &child) {
    query(fmt::format("ALTER INDEX {} ATTACH PARTITION {}", find_index(parent)->quoted,
                      child.quoted));
}

// The key that an index is of.
struct Key {
    std::string definition;  // PRIMARY KEY (...) ..., UNIQUE (...) ...
    std::string keyword;
    std::string timing;
    std::string index_body;
};

std::optional<Key> key_of(const Index &index) {
    const Rows rows = query(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conindid = $1::oid AND contype "
        "IN ('p', 'u')",
        {index.oid});
    if (rows.empty()) return std::nullopt;
    const std::string definition = rows.text(0, 0);
    ZdmConstraint parsed{};
    check(zdm_constraint_parse(index.relation, index.name.c_str(), definition.c_str(), &parsed));
    return Key{definition, parsed.type == 'p' ? "PRIMARY KEY" : "UNIQUE", parsed.timing,
               parsed.index_body};
}

void add_key(uint32_t table, const std::string &name, const std::string &definition) {
    query(fmt::format("ALTER TABLE ONLY {} ADD CONSTRAINT {} {}", *quoted_relation(table),
                      Identifier(name), definition));
}

void give_servers_name(const Index &index) {
    const char *name = nullptr;
    check(zdm_index_choose_name(index.oid, &name));
    query(fmt::format("ALTER INDEX {} RENAME TO {}", index.quoted, Identifier(name)));
}

std::string shadow_name(const Migration &migration, uint32_t leaf) {
    return new_object_name(migration.id, fmt::format("index_{}", leaf));
}

// Of a leaf, equal in all but its name, and part of no other index.
std::optional<Index> equal_index(uint32_t leaf, const std::string &meaning) {
    for (const auto &index : indexes_of(leaf))
        if (index.valid && !index.attached && index_meaning(index) == meaning) return index;
    return std::nullopt;
}

}  // namespace

std::vector<Step> partition_index_steps(const Migration &migration, const std::string &index,
                                        const std::string &statement) {
    const auto root = find_index(migration.relation, index);
    const auto tree = root ? tree_of(root->oid) : std::map<uint32_t, uint32_t>();
    std::vector<Step> steps;
    for (const auto &part : parts_of(migration.relation)) {
        if (!part.leaf || tree.count(part.relation) > 0) continue;
        const std::string leaf = *quoted_relation(part.relation);
        const auto equal = equal_index(part.relation, index_meaning(statement, part.relation));
        const std::string child = equal ? equal->name : shadow_name(migration, part.relation);
        if (!equal) {
            Step build{0,
                       Phase::build,
                       "build_index",
                       child,
                       fmt::format("Build the index of partition {} beside the writes", leaf),
                       index_text(statement, part.relation, child, IndexBuild::concurrently),
                       "SHARE UPDATE EXCLUSIVE"};
            build.related = part.relation;
            steps.push_back(build);
        }
        Step attaching{
            0,
            Phase::build,
            "attach_index",
            child,
            fmt::format("Make it part of index {}", Identifier(index)),
            fmt::format("ALTER INDEX {} ATTACH PARTITION {}", Identifier(index), Identifier(child)),
            "ACCESS EXCLUSIVE"};
        attaching.related = part.relation;
        steps.push_back(attaching);
    }
    steps.push_back(
        {0, Phase::build, "finish_index", index, "See that no partition was missed", "", ""});
    return steps;
}

namespace {

class CreatePartitionedIndex final : public StepKind {
  public:
    CreatePartitionedIndex(const char *name, bool of_key) noexcept : name_(name), of_key_(of_key) {}

    const char *name() const override { return name_; }

    Outcome run(Turn &turn, const Step &step) const override {
        LockRequest request;
        request.mode = of_key_ ? ZDM_ACCESS_EXCLUSIVE : ZDM_SHARE;
        in_turn(turn, [&] {
            request.relations = {turn.migration.relation};
            for (const auto &part : parts_of(turn.migration.relation))
                if (!part.leaf) request.relations.push_back(part.relation);
        });
        return under_lock_on(turn, step, request, [&] {
            enter_phase(turn, Phase::build);
            const std::string statement = create_upper_indexes(turn, step);
            // As zdm's own role: the table's owner has no rights on zdm's tables, and needs none.
            delete_steps_after(turn.migration, step.ordinal);
            insert_steps(turn.migration,
                         partition_index_steps(turn.migration, step.object, statement));
            return Outcome::finished();
        });
    }

    // What is attached goes with it.
    Outcome undo(Turn &turn, const Step &step) const override {
        bool created = false;
        in_turn(turn, [&] {
            created = step.done() && find_index(turn.migration.relation, step.object).has_value();
        });
        if (!created) return Outcome::finished();
        return under_lock(
            turn, step, ZDM_ACCESS_EXCLUSIVE,
            [&] {
                const auto index = find_index(turn.migration.relation, step.object);
                if (index && of_key_)
                    query(fmt::format("ALTER TABLE {} DROP CONSTRAINT {}",
                                      *quoted_relation(turn.migration.relation),
                                      Identifier(step.object)));
                else if (index)
                    query(fmt::format("DROP INDEX {}", index->quoted));
                return Outcome::finished();
            },
            "undone");
    }

  private:
    // Returns the statement that the leaves' indexes are built by.
    std::string create_upper_indexes(const Turn &turn, const Step &step) const {
        const uint32_t table = turn.migration.relation;
        if (!find_index(table, step.object))
            query(of_key_ ? step.sql : index_text(step.sql, table, step.object, IndexBuild::only));
        const Index root = *find_index(table, step.object);
        const auto key = of_key_ ? key_of(root) : std::nullopt;
        for (const auto &part : parts_of(table)) {
            const auto tree = tree_of(root.oid);
            if (part.leaf || tree.count(part.relation) > 0) continue;
            const std::string shadow = shadow_name(turn.migration, part.relation);
            if (key)
                add_key(part.relation, shadow, key->definition);
            else
                query(index_text(step.sql, part.relation, shadow, IndexBuild::only));
            const auto index = find_index(part.relation, shadow);
            attach(tree.at(part.parent), *index);
            give_servers_name(*index);
        }
        // A key's index has nothing else to it (kind/add_constraint.cpp).
        return key ? fmt::format("CREATE UNIQUE INDEX {} ON {} {}", Identifier(root.name),
                                 *quoted_relation(table), key->index_body)
                   : step.sql;
    }

    const char *name_;
    bool of_key_;
};

constexpr const char *index_step = "create_partitioned_index", *key_step = "create_partitioned_key";
const CreatePartitionedIndex create_partitioned_index(index_step, false);
const CreatePartitionedIndex create_partitioned_key(key_step, true);

std::optional<Step> first_step(const Migration &migration) {
    for (const auto &step : load_steps(migration.id))
        if (step.kind == index_step || step.kind == key_step) return step;
    return std::nullopt;
}

std::optional<Index> root_index(const Turn &turn) {
    const auto step = first_step(turn.migration);
    return step ? find_index(turn.migration.relation, step->object) : std::nullopt;
}

Outcome start_over(Turn &turn, const char *reason) {
    int ordinal = 0;
    in_turn(turn, [&] { ordinal = first_step(turn.migration)->ordinal; });
    return Outcome::back_to(ordinal, reason);
}

class AttachIndex final : public StepKind {
  public:
    const char *name() const override { return "attach_index"; }

    Outcome run(Turn &turn, const Step &step) const override {
        std::optional<Index> child;
        std::optional<Key> key;
        uint32_t parent = 0;
        bool needless = false, lost = false, is_key = false;
        in_turn(turn, [&] {
            const auto root = root_index(turn);
            lost = !root;
            if (lost) return;
            const auto tree = tree_of(root->oid);
            const auto parts = parts_of(turn.migration.relation);
            const auto part = std::find_if(parts.begin(), parts.end(), [&](const Part &one) {
                return one.relation == step.related;
            });
            needless = part == parts.end() || tree.count(step.related) > 0;
            if (needless) return;
            child = find_index(step.related, step.object);
            const auto above = tree.find(part->parent);
            lost = !child || !child->valid || above == tree.end();
            if (lost) return;
            parent = above->second;
            key = key_of(*root);
            is_key = key_of(*child).has_value();
        });
        if (lost) return start_over(turn, "an index was dropped by somebody");
        if (needless) {
            drop_unused(turn, step.related);
            in_turn(turn, [&] { set_step_state(turn.migration, step, "done"); });
            return Outcome::finished();
        }
        LockRequest request;  // of the leaf's index: every plan that may use it looks at it
        request.relations = {child->oid};
        if (key && !is_key) request.relations.push_back(step.related);
        return under_lock_on(turn, step, request, [&] {
            if (key && !is_key)
                query(fmt::format("ALTER TABLE {} ADD CONSTRAINT {} {} USING INDEX {}{}",
                                  *quoted_relation(step.related), Identifier(child->name),
                                  key->keyword, Identifier(child->name), key->timing));
            check(zdm_lock_relations(1, &parent, ZDM_SHARE_UPDATE_EXCLUSIVE,
                                     lock_patience_ms(turn, step)));
            attach(parent, *child);
            if (child->name == shadow_name(turn.migration, step.related)) give_servers_name(*child);
            return Outcome::finished();
        });
    }

  private:
    // The partition has been detached since ours was built, or is attached again: then with an
    // index that the server has made.
    static void drop_unused(Turn &turn, uint32_t leaf) {
        std::optional<Index> unused;
        in_turn(turn, [&] { unused = find_index(leaf, shadow_name(turn.migration, leaf)); });
        if (unused) drop_index_concurrently(turn, *unused);
    }
} const attach_index;

class FinishIndex final : public StepKind {
  public:
    const char *name() const override { return "finish_index"; }

    Outcome run(Turn &turn, const Step &step) const override {
        bool valid = false;
        in_turn(turn, [&] {
            const auto root = find_index(turn.migration.relation, step.object);
            valid = root && root->valid;
            if (root && !valid && is_complete(turn, *root)) raise_stuck(turn, *root);
            if (!valid) return;
            set_step_state(turn.migration, step, "done");
            set_phase(turn.migration, Phase::done);
        });
        if (!valid) return start_over(turn, "a partition has no index yet");
        return Outcome::finished();
    }

  private:
    static bool is_complete(const Turn &turn, const Index &root) {
        const auto tree = tree_of(root.oid);
        const auto parts = parts_of(turn.migration.relation);
        return std::all_of(parts.begin(), parts.end(),
                           [&](const Part &part) { return tree.count(part.relation) > 0; });
    }

    // The server looks whether an index is complete when a part is attached to it, and never else.
    [[noreturn]] static void raise_stuck(const Turn &turn, const Index &root) {
        raise("55000", {},
              "{}: every partition has its index, but a partition was dropped or detached while "
              "they were built, and the server then never marks index {} valid; SELECT "
              "zdm.abort({}) and start again",
              described(turn.migration), root.quoted, Literal(turn.migration.name));
    }
} const finish_index;

}  // namespace
}  // namespace zdm
