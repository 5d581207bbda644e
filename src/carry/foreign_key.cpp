// Foreign keys out of a column and into it. The counterpart between the new columns is added NOT
// VALID and validated in phase build; both watch the same references then, and a cascading action
// finds nothing left to do the second time. At cutover the counterpart takes over the name and the
// old one goes: in soak it could only fail a statement under a name that nobody knows. Revert adds
// it again, and needs no scan: the new columns' key holds, and each row's old side is made of its
// new one.
//
// A key between two tables of the migration belongs to the one that refers; one from a table
// outside belongs to the table that it refers to, and is carried with the referring column as it
// is. A partition may have one of its own, or be referred to for itself: Carried::parent is its OID
// then. A partition that is referred to may be detached at any time, and then has no new column
// that is kept in sync: such a key gets its counterpart only when a cutover is called for.
#include <algorithm>
#include <cstdlib>

#include "carry/carrier.hpp"
#include "state/index.hpp"
#include "state/names.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

// A table at one end of a key; its mapping is empty where it is not part of the migration.
struct End {
    uint32_t relation = 0;
    uint32_t root = 0;  // of its partition tree
    std::string table;
    Mapping mapping;

    // With the new columns, as the server writes it.
    std::string type(const std::string &name) const {
        for (size_t pair = 0; pair < mapping.old_columns.size(); ++pair)
            if (mapping.old_columns[pair].name == name) return mapping.new_columns.at(pair).type;
        return query(
                   "SELECT format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = $1::oid "
                   "AND attname = $2",
                   {relation, name})
            .text(0, 0);
    }
    std::string column(const std::string &name, Side side, Names names) const {
        for (size_t pair = 0; pair < mapping.old_columns.size(); ++pair)
            if (mapping.old_columns[pair].name == name) {
                const auto &columns =
                    side == Side::old_side ? mapping.old_columns : mapping.new_columns;
                return quote(Identifier(name_of(columns.at(pair), names)));
            }
        return quote(Identifier(name));
    }
    bool has(const std::vector<std::string> &columns) const {
        for (const auto &column : mapping.old_columns)
            for (const auto &name : columns)
                if (column.name == name) return true;
        return false;
    }
};

constexpr std::string_view not_valid = " NOT VALID";
// Carried::timing
constexpr std::string_view into_partition = "when a cutover is called for";
constexpr std::string_view deferred = " DEFERRABLE INITIALLY DEFERRED";

struct Key {
    uint32_t oid = 0;
    std::string name;
    End from, to;
    std::vector<std::string> from_columns, to_columns, set_columns;
    std::string match, on_update, on_delete, deferrable, not_valid;
    // Which of both keys acts first is not ours to say. Where it matters the counterpart only
    // checks, when the original has acted: the new column has no default of its own yet; where
    // forward fails, the new key is NULL, and the update would cascade as that.
    bool acts_once = false;

    std::string counterpart() const {
        Key key = *this;
        if (acts_once) {
            key.on_update = key.on_delete = "";
            key.set_columns.clear();
            key.deferrable = deferred;
        }
        return key.definition(Side::new_side, Names::before);
    }

    std::string definition(Side side, Names names) const {
        const auto list = [&](const End &end, const std::vector<std::string> &columns) {
            std::vector<std::string> quoted;
            for (const auto &column : columns) quoted.push_back(end.column(column, side, names));
            return fmt::format("({})", fmt::join(quoted, ", "));
        };
        // $1: the table has another name by then, or another table its own.
        return fmt::format("FOREIGN KEY {} REFERENCES $1 {}{}{}{}{}{}{}", list(from, from_columns),
                           list(to, to_columns), match, on_update, on_delete,
                           set_columns.empty() ? "" : " " + list(from, set_columns), deferrable,
                           not_valid);
    }
};

constexpr const char *keys_of_table = R"(
    SELECT k.oid, k.conname, k.conrelid, k.confrelid,
           format('%I.%I', fn.nspname, f.relname), format('%I.%I', tn.nspname, t.relname),
           (SELECT string_agg(a.attname, E'\x01' ORDER BY p.n) FROM unnest(k.conkey) WITH ORDINALITY AS p(attnum, n)
              JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = p.attnum),
           (SELECT string_agg(a.attname, E'\x01' ORDER BY p.n) FROM unnest(k.confkey) WITH ORDINALITY AS p(attnum, n)
              JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = p.attnum),
           (SELECT string_agg(a.attname, E'\x01' ORDER BY p.n) FROM unnest(k.confdelsetcols) WITH ORDINALITY AS p(attnum, n)
              JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = p.attnum),
           CASE k.confmatchtype WHEN 'f' THEN ' MATCH FULL' ELSE '' END,
           CASE k.confupdtype WHEN 'r' THEN ' ON UPDATE RESTRICT' WHEN 'c' THEN ' ON UPDATE CASCADE'
                              WHEN 'n' THEN ' ON UPDATE SET NULL' WHEN 'd' THEN ' ON UPDATE SET DEFAULT' ELSE '' END,
           CASE k.confdeltype WHEN 'r' THEN ' ON DELETE RESTRICT' WHEN 'c' THEN ' ON DELETE CASCADE'
                              WHEN 'n' THEN ' ON DELETE SET NULL' WHEN 'd' THEN ' ON DELETE SET DEFAULT' ELSE '' END,
           CASE WHEN k.condeferrable THEN ' DEFERRABLE' ELSE '' END
               || CASE WHEN k.condeferred THEN ' INITIALLY DEFERRED' ELSE '' END,
           CASE WHEN k.convalidated THEN '' ELSE ' NOT VALID' END,
           k.confupdtype NOT IN ('a', 'r'), k.confupdtype = 'd' OR k.confdeltype = 'd',
           f.relkind = 'p' OR t.relkind = 'p', f.relowner = t.relowner,
           coalesce(to_jsonb(k) ->> 'conperiod', 'false') = 'true'
               OR coalesce(to_jsonb(k) ->> 'conenforced', 'true') = 'false',
           coalesce(pg_partition_root(k.conrelid), k.conrelid)::oid, coalesce(pg_partition_root(k.confrelid), k.confrelid)::oid
      FROM pg_constraint k
      JOIN pg_class f ON f.oid = k.conrelid JOIN pg_namespace fn ON fn.oid = f.relnamespace
      JOIN pg_class t ON t.oid = k.confrelid JOIN pg_namespace tn ON tn.oid = t.relnamespace
     CROSS JOIN (SELECT )" ZDM_TREE_OF("$1::oid") R"( OFFSET 0) AS own(tree)
     WHERE k.contype = 'f' AND k.conparentid = 0 AND (k.conrelid = ANY (tree) OR k.confrelid = ANY (tree))
     ORDER BY f.relkind = 'p', k.conrelid, k.conname)";

[[noreturn]] void refuse(const CarryScope &scope, const Key &key, const std::string &why) {
    raise(sqlstate::unsupported, {},
          "zdm: {}: foreign key {} of {} {}; drop it first and create it again after cutover",
          described(scope), Identifier(key.name), key.from.table, why);
}

class ForeignKey final : public Carrier {
  public:
    ForeignKey(const char *name, bool outward) noexcept : name_(name), outward_(outward) {}

    const char *name() const override { return name_; }
    int rank() const override { return 65; }

    std::vector<Carried> find(const CarryScope &scope,
                              std::vector<Dependent> &dependents) const override {
        std::vector<Carried> found;
        if (!scope.is_paired()) return found;
        const Rows rows = query(keys_of_table, {scope.migration.relation});
        for (size_t row = 0; row < rows.size(); ++row) {
            // Of periods, or not enforced: left unclaimed, so refused by name.
            if (rows.boolean(row, 18)) continue;
            const Key key = key_of(scope, rows, row);
            if (outward_ != (key.from.root == scope.migration.relation)) continue;
            if (!claim(dependents, pg_constraint_id, key.oid)) continue;
            for (const uint32_t part : parts_of(key.oid)) claim(dependents, pg_constraint_id, part);
            // The other table of the migration carries it.
            if (!outward_ && key.from.has(key.from_columns)) continue;
            check_supported(scope, key, rows, row);
            const bool partitioned = rows.boolean(row, 16);
            found.push_back(
                {name(), key.name, partitioned ? "" : new_object_name(scope.migration.id, key.name),
                 key.definition(Side::old_side, Names::before),
                 partitioned ? key.definition(Side::new_side, Names::soak) : key.counterpart(),
                 false, outward_ ? key.to.relation : key.from.relation,
                 columns_of(pg_constraint_id, key.oid), partition_at(scope, key),
                 std::string(is_migrated(scope.migration, key.to.root) &&
                                     key.to.relation != key.to.root && !partitioned
                                 ? into_partition
                                 : "")});
        }
        return found;
    }

    // Of a key into one, the counterpart on the other table is to be taken down.
    uint32_t partition_with(const Carried &carried) const override {
        return outward_ ? own_partition(carried) : 0;
    }

    uint32_t partition_about(const Carried &carried) const override {
        return own_partition(carried);
    }

    std::vector<Carried> find_in_soak(const CarryScope &scope,
                                      std::vector<Carried> own) const override {
        if (!scope.is_paired()) return own;
        const Rows rows = query(keys_of_table, {scope.migration.relation});
        for (size_t row = 0; row < rows.size(); ++row)
            if (is_newcomer(scope, rows, row, own))
                refuse_revert(scope, rows, row, "has come since cutover");
        std::vector<Carried> present;
        for (const auto &one : own) {
            const auto row = row_of(scope, rows, one);
            if (!row) continue;
            if (is_into_partition(one) && !is_migrated(scope.migration, rows.oid(*row, 20)))
                refuse_revert(scope, rows, *row,
                              fmt::format("refers to {}, which is no partition any more",
                                          rows.text(*row, 5)));
            present.push_back(one);
        }
        return present;
    }

    std::vector<Step> prepare(const CarryScope &scope, const Carried &carried) const override {
        if (is_partitioned(carried) || is_into_partition(carried)) return {};
        return add(scope, carried, Phase::build, carried.shadow, carried.shadow_definition);
    }

    std::vector<Step> freshen(const CarryScope &scope, const Carried &carried) const override {
        if (is_partitioned(carried) || !is_into_partition(carried)) return {};
        return add(scope, carried, Phase::soak, carried.shadow, carried.shadow_definition);
    }

    std::vector<Step> withdraw(const CarryScope &scope, const Carried &carried) const override {
        return {drop(scope, carried, Phase::build, carried.shadow)};
    }

    void take_off(const CarryScope &scope, const Carried &carried, Side side) const override {
        if (side == Side::old_side || is_partitioned(carried) || acts_once(carried) ||
            is_into_partition(carried))
            query(fmt::format("ALTER TABLE {} DROP CONSTRAINT {}", table_of(scope, carried),
                              Identifier(carried.object)));
        else
            rename(scope, carried, carried.object, carried.shadow);
    }

    void put_on(const CarryScope &scope, const Carried &carried, Side side) const override {
        if (is_partitioned(carried)) {
            add_partitioned(
                scope, carried,
                at_target(scope, carried,
                          side == Side::new_side ? carried.shadow_definition : carried.definition));
            return;
        }
        if (side == Side::new_side && !acts_once(carried)) {
            rename(scope, carried, carried.shadow, carried.object);
            return;
        }
        if (side == Side::new_side)
            query(fmt::format("ALTER TABLE {} DROP CONSTRAINT {}", table_of(scope, carried),
                              Identifier(carried.shadow)));
        add_proved(relation_of(scope, carried), table_of(scope, carried), carried.object,
                   at_target(scope, carried, carried.definition));
        if (side == Side::new_side || is_into_partition(carried)) return;
        // Behind the original again: whichever is younger is the last to act, and to fail.
        query(fmt::format("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}", table_of(scope, carried),
                          Identifier(carried.shadow)));
        add_proved(relation_of(scope, carried), table_of(scope, carried), carried.shadow,
                   at_target(scope, carried, carried.shadow_definition));
    }

  private:
    static Key key_of(const CarryScope &scope, const Rows &rows, size_t row) {
        const auto end = [&](size_t relation, size_t root, size_t table) {
            End result{rows.oid(row, relation), rows.oid(row, root), rows.text(row, table), {}};
            if (result.root == scope.migration.relation)
                result.mapping = scope.mapping;
            else {
                Migration seen = scope.migration;
                seen.relation = result.root;
                result.mapping = load_mapping(seen);
            }
            return result;
        };
        Key key;
        key.oid = rows.oid(row, 0);
        key.name = rows.text(row, 1);
        key.from = end(2, 19, 4);
        key.to = end(3, 20, 5);
        key.from_columns = split(rows.text(row, 6), '\x01');
        key.to_columns = split(rows.text(row, 7), '\x01');
        key.set_columns = split(rows.text(row, 8), '\x01');
        key.match = rows.text(row, 9);
        key.on_update = rows.text(row, 10);
        key.on_delete = rows.text(row, 11);
        key.deferrable = rows.text(row, 12);
        key.not_valid = rows.text(row, 13);
        key.acts_once = rows.boolean(row, 15);
        for (const auto &column : key.to.mapping.new_columns)
            if (rows.boolean(row, 14) && !column.total) key.acts_once = true;
        return key;
    }

    static void check_supported(const CarryScope &scope, const Key &key, const Rows &rows,
                                size_t row) {
        if (!rows.boolean(row, 17)) refuse(scope, key, "has tables of two owners at its ends");
        if (key.acts_once && key.definition(Side::old_side, Names::before) !=
                                 key.definition(Side::new_side, Names::soak))
            refuse(scope, key, "sets a default, which cannot come along under another name");
        check_types(scope, key);
    }

    // The server compares keys of two types where an operator of the referenced index does, or
    // where one type is cast implicitly to the other.
    static void check_types(const CarryScope &scope, const Key &key) {
        for (size_t i = 0; i < key.to_columns.size(); ++i) {
            const std::string from = key.from.type(key.from_columns[i]);
            const std::string to = key.to.type(key.to_columns[i]);
            if (from == to) continue;
            const Rows rows = query(
                R"(SELECT EXISTS (SELECT FROM pg_opclass c JOIN pg_amop o ON o.amopfamily = c.opcfamily
                                   WHERE c.opcdefault AND c.opcmethod = (SELECT oid FROM pg_am WHERE amname = 'btree')
                                     AND c.opcintype = t.oid AND o.amopstrategy = 3
                                     AND o.amoplefttype = t.oid AND o.amoprighttype = f.oid)
                       OR EXISTS (SELECT FROM pg_cast WHERE castsource = f.oid AND casttarget = t.oid AND castcontext = 'i')
                     FROM (SELECT $1::regtype::oid) AS f(oid), (SELECT $2::regtype::oid) AS t(oid))",
                {from, to});
            if (!rows.boolean(0, 0))
                refuse(scope, key,
                       fmt::format("would refer from {} to {}, which the server cannot compare",
                                   from, to));
        }
    }

    // The table that has the constraint, and the one at its other end.
    uint32_t relation_of(const CarryScope &scope, const Carried &carried) const {
        return outward_ ? own_end(scope, carried) : carried.related;
    }
    uint32_t related_to(const CarryScope &scope, const Carried &carried) const {
        return outward_ ? carried.related : own_end(scope, carried);
    }
    static uint32_t own_partition(const Carried &carried) {
        return static_cast<uint32_t>(std::strtoul(carried.parent.c_str(), nullptr, 10));
    }
    static uint32_t own_end(const CarryScope &scope, const Carried &carried) {
        const uint32_t partition = own_partition(carried);
        return partition != 0 ? partition : scope.migration.relation;
    }
    static bool is_into_partition(const Carried &carried) {
        return carried.timing == into_partition;
    }
    std::string at_target(const CarryScope &scope, const Carried &carried,
                          const std::string &definition) const {
        const auto table = quoted_relation(outward_ ? carried.related : own_end(scope, carried));
        if (!table)
            raise(sqlstate::undefined_table, {},
                  "{}: the table that foreign key {} refers to is gone", described(scope.migration),
                  Identifier(carried.object));
        return with_parameters(definition, {*table});
    }
    std::string table_of(const CarryScope &scope, const Carried &carried) const {
        if (outward_) return scope_on(scope, own_end(scope, carried)).table;
        return carry_scope(on_table(scope.migration, carried.related), {}).table;
    }
    std::string partition_at(const CarryScope &scope, const Key &key) const {
        const uint32_t end = outward_ ? key.from.relation : key.to.relation;
        return end == scope.migration.relation ? "" : std::to_string(end);
    }

    static bool acts_once(const Carried &carried) {
        return ends_with(carried.shadow_definition, deferred) !=
               ends_with(carried.definition, deferred);
    }

    // With a partitioned table at an end: it takes no NOT VALID key, and has no unique index on the
    // new columns before cutover, to which a counterpart could refer.
    static bool is_partitioned(const Carried &carried) { return carried.shadow.empty(); }

    // Those that the server keeps for the partitions of either end.
    static std::vector<uint32_t> parts_of(uint32_t key) {
        return query(
                   R"(WITH RECURSIVE part AS (
                   SELECT oid FROM pg_constraint WHERE conparentid = $1::oid
                   UNION ALL
                   SELECT k.oid FROM part JOIN pg_constraint k ON k.conparentid = part.oid)
               SELECT oid FROM part)",
                   {key})
            .oids();
    }

    // The row of keys_of_table that it has now; empty where it was dropped.
    std::optional<size_t> row_of(const CarryScope &scope, const Rows &rows,
                                 const Carried &carried) const {
        for (size_t row = 0; row < rows.size(); ++row)
            if (rows.text(row, 1) == carried.object &&
                rows.oid(row, 2) == relation_of(scope, carried) &&
                rows.oid(row, 3) == (outward_ ? carried.related : own_end(scope, carried)))
                return row;
        return std::nullopt;
    }

    static bool is_migrated(const Migration &migration, uint32_t table) {
        for (const auto &seen : on_each_table(migration))
            if (seen.relation == table) return true;
        return false;
    }

    [[noreturn]] static void refuse_revert(const CarryScope &scope, const Rows &rows, size_t row,
                                           const std::string &why) {
        raise(sqlstate::unsupported, {},
              "{} cannot be reverted: foreign key {} of {} {}; drop it, SELECT zdm.resume({}), and "
              "add it again",
              described(scope.migration), Identifier(rows.text(row, 1)), rows.text(row, 4), why,
              Literal(scope.migration.name));
    }

    // Of this carrier, on a present column.
    bool is_newcomer(const CarryScope &scope, const Rows &rows, size_t row,
                     const std::vector<Carried> &own) const {
        const uint32_t from = rows.oid(row, 19), to = rows.oid(row, 20);
        const bool outward = from == scope.migration.relation;
        if (outward != outward_ || object_of_migration(rows.text(row, 1))) return false;
        const auto is_it = [&](const Carried &one) { return row_of(scope, rows, one) == row; };
        if (std::any_of(own.begin(), own.end(), is_it)) return false;
        const bool refers = has_present(scope.migration, from, rows.text(row, 6));
        const bool is_referred_to = has_present(scope.migration, to, rows.text(row, 7));
        // The other table of the migration carries it where it has a column of the key.
        return outward ? refers || is_referred_to : is_referred_to && !refers;
    }

    static bool has_present(const Migration &migration, uint32_t table,
                            const std::string &columns) {
        for (const auto &seen : on_each_table(migration)) {
            if (seen.relation != table) continue;
            for (const auto &mapped : load_mapping(seen).new_columns)
                for (const auto &column : split(columns, '\x01'))
                    if (mapped.soak_name == column) return true;
        }
        return false;
    }

    // Each leaf gets its own, proved; the table's own then finds and adopts them, and scans
    // nothing. A leaf that has another one of that name, whose part the server has named otherwise
    // too, has been given that already.
    void add_partitioned(const CarryScope &scope, const Carried &carried,
                         const std::string &definition) const {
        const Rows leaves = query(
            R"(SELECT c.oid, format('%I.%I', n.nspname, c.relname),
                      CASE WHEN EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.conname = $2)
                           THEN format('%s%s_fkey', CASE WHEN octet_length(c.relname) < 45 THEN c.relname || '_' END, left(md5($2), 8)) ELSE $2 END
                 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE c.oid = ANY ()" ZDM_TREE_OF(
                "$1::oid") R"() AND c.oid <> $1::oid AND c.relkind <> 'p' ORDER BY 1)",
            {relation_of(scope, carried), carried.object});
        for (size_t row = 0; row < leaves.size(); ++row)
            add_proved(leaves.oid(row, 0), leaves.text(row, 1), leaves.text(row, 2), definition);
        const std::string table = table_of(scope, carried);
        if (leaves.empty())
            add_proved(relation_of(scope, carried), table, carried.object, definition);
        else
            query(fmt::format("ALTER TABLE {} ADD CONSTRAINT {} {}", table,
                              Identifier(carried.object), definition));
    }

    // Under ACCESS EXCLUSIVE on both tables.
    static void add_proved(uint32_t relation, const std::string &table,
                           const std::string &constraint, const std::string &definition) {
        const bool valid = !ends_with(definition, not_valid);
        query(fmt::format("ALTER TABLE {} ADD CONSTRAINT {} {}{}", table, Identifier(constraint),
                          definition, valid ? " NOT VALID" : ""));
        if (valid) check(zdm_foreign_key_mark_validated(relation, constraint.c_str()));
    }

    void rename(const CarryScope &scope, const Carried &carried, const std::string &from,
                const std::string &to) const {
        query(fmt::format("ALTER TABLE {} RENAME CONSTRAINT {} TO {}", table_of(scope, carried),
                          Identifier(from), Identifier(to)));
    }

    std::vector<Step> add(const CarryScope &scope, const Carried &carried, Phase phase,
                          const std::string &constraint, const std::string &definition) const {
        const bool stays_not_valid = ends_with(definition, not_valid);
        const uint32_t relation = relation_of(scope, carried);
        const uint32_t related = related_to(scope, carried);
        std::vector<Step> steps{
            {0, phase, "add_foreign_key", constraint,
             fmt::format("Check new writes: {}", at_target(scope, carried, definition)),
             fmt::format("ALTER TABLE {} ADD CONSTRAINT {} {}{}", table_of(scope, carried),
                         Identifier(constraint), at_target(scope, carried, definition),
                         stays_not_valid ? "" : not_valid),
             "SHARE ROW EXCLUSIVE", "pending", 0, relation, related}};
        if (!stays_not_valid)
            steps.push_back({0, phase, "validate_constraint", constraint, "Check every row",
                             fmt::format("ALTER TABLE {} VALIDATE CONSTRAINT {}",
                                         table_of(scope, carried), Identifier(constraint)),
                             "SHARE UPDATE EXCLUSIVE", "pending", 0, relation, 0});
        return steps;
    }

    Step drop(const CarryScope &scope, const Carried &carried, Phase phase,
              const std::string &constraint) const {
        return {0,
                phase,
                "drop_constraint",
                constraint,
                fmt::format("Take down constraint {}", Identifier(constraint)),
                fmt::format("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}", table_of(scope, carried),
                            Identifier(constraint)),
                "ACCESS EXCLUSIVE",
                "pending",
                0,
                relation_of(scope, carried),
                related_to(scope, carried)};
    }

    const char *name_;
    bool outward_;
};

const ForeignKey foreign_key("foreign_key", true);
const ForeignKey foreign_key_to("foreign_key_to", false);

}  // namespace
}  // namespace zdm
