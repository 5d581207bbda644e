// Triggers with a list of columns or a condition, row security policies: what the server keeps by
// column number, and writes down by column name. Dropped, and made again from the same text, in
// which the name now means the other column; at a rename it borrows that name for the moment. A
// partition may have some for itself.
#include <cctype>

#include "carry/carrier.hpp"
#include "carry/trigger_columns.hpp"

#include "core/no_postgres.hpp"

namespace zdm {
namespace {

constexpr uint32_t pg_trigger_id = 2620, pg_policy_id = 3256;

// sql gives: OID, name, statements that make it (separated by \x01), the columns that it depends
// on, the names of those that it lists, the table or partition that it is on and its name, its
// conditions, xmin; that of triggers knows the columns that have two names ($2, $3). what: TRIGGER
// or POLICY.
class NamedText final : public Carrier {
  public:
    NamedText(const char *name, const char *what, uint32_t class_id, int rank,
              const char *sql) noexcept
        : name_(name), what_(what), class_id_(class_id), rank_(rank), sql_(sql) {}

    const char *name() const override { return name_; }
    int rank() const override { return rank_; }
    uint32_t partition_with(const Carried &carried) const override { return carried.related; }

    std::vector<Carried> find(const CarryScope &scope,
                              std::vector<Dependent> &dependents) const override {
        std::vector<Carried> found;
        if (!scope.is_paired()) return found;
        const Rows rows = texts(scope);
        for (size_t row = 0; row < rows.size(); ++row)
            if (claim(dependents, class_id_, rows.oid(row, 0)))
                found.push_back(carried_of(scope, rows, row));
        return found;
    }

    // At a rename a text of soak has the new name, which nobody knows after a revert.
    std::vector<Carried> find_in_soak(const CarryScope &scope,
                                      std::vector<Carried> own) const override {
        if (!scope.is_paired()) return own;
        const std::string swap = swap_transaction(scope.migration);
        std::vector<Carried> present;
        const Rows rows = texts(scope);
        for (size_t row = 0; row < rows.size(); ++row) {
            Carried carried = carried_of(scope, rows, row);
            const Carried *recorded = same_named(own, carried.object, carried.related);
            const bool untouched = rows.text(row, 8) == swap;
            if (recorded != nullptr && (in_soak(scope, *recorded) == carried.definition ||
                                        (untouched && !can_be_turned(scope, carried)))) {
                present.push_back(*recorded);
                continue;
            }
            if (!reads_present_columns(scope, rows.oid(row, 5), carried.columns)) continue;
            if (!scope.keeps_names()) {
                if (recorded != nullptr) refuse_changed(scope, carried);
                continue;
            }
            // Before anything of the revert is done.
            present.push_back(followed(recorded, untouched, [&] {
                for (const auto &condition : split(rows.text(row, 7), '\x01'))
                    rebound(turned_round(scope), condition, Side::new_side, Names::before,
                            fmt::format("policy {}", Identifier(carried.object)),
                            {rows.oid(row, 5)});
                return carried;
            }));
        }
        return present;
    }

    std::vector<Step> prepare(const CarryScope &, const Carried &carried) const override {
        return fire_for(Phase::build, widen_trigger_step, carried, "either name");
    }

    std::vector<Step> clean_up(const CarryScope &, const Carried &carried) const override {
        return fire_for(Phase::done, narrow_trigger_step, carried, "the new name alone");
    }

    bool names_old_columns() const override { return true; }

    void take_off(const CarryScope &scope, const Carried &carried, Side) const override {
        query(fmt::format("DROP {} {} ON {}", what_, Identifier(carried.object),
                          scope_of(scope, carried).table));
    }

    void put_on(const CarryScope &scope, const Carried &carried, Side) const override {
        const std::string table = scope_of(scope, carried).table;
        for (const auto &statement : split(carried.definition, '\x01'))
            query(on_table_of_now(statement, carried.parent, table));
    }

    // Made anew, a trigger lists the columns of its text alone.
    void settle(const CarryScope &scope, const Carried &carried, Side) const override {
        if (class_id_ == pg_trigger_id) widen_trigger(scope, carried.related, carried.object);
    }

  private:
    static constexpr const char *of_both = "UPDATE OF both names";

    static std::vector<Step> fire_for(Phase phase, const char *kind, const Carried &carried,
                                      const char *whom) {
        if (carried.timing != of_both) return {};
        Step step{0,
                  phase,
                  kind,
                  carried.object,
                  fmt::format("Let trigger {} fire for {}", Identifier(carried.object), whom),
                  "",
                  "SHARE ROW EXCLUSIVE"};
        step.related = carried.related;
        return {step};
    }

    // A trigger's condition speaks of NEW and OLD: only the server could say. At a rename a text
    // has names that are gone after a revert.
    bool can_be_turned(const CarryScope &scope, const Carried &carried) const {
        const bool has_condition = carried.definition.find(" WHEN (") != std::string::npos;
        return scope.keeps_names() && !(class_id_ == pg_trigger_id && has_condition);
    }

    [[noreturn]] void refuse_changed(const CarryScope &scope, const Carried &carried) const {
        raise(sqlstate::unsupported, {},
              "{} cannot be reverted: {} {} on {} was changed since cutover; drop it, SELECT "
              "zdm.resume({}), and create it again",
              described(scope.migration), what_, Identifier(carried.object), carried.parent,
              Literal(scope.migration.name));
    }

    // The recorded text with the names of soak.
    static std::string in_soak(const CarryScope &scope, const Carried &recorded) {
        // Behind its own name, and not in strings.
        const std::string name = quote(Identifier(recorded.object)) + " ";
        const size_t from = recorded.definition.find(name) + name.size();
        const std::string head = recorded.definition.substr(0, from);
        std::string text = recorded.definition.substr(from);
        for (size_t pair = 0; pair < scope.mapping.old_columns.size(); ++pair) {
            const std::string before = quote(Identifier(scope.mapping.old_columns[pair].name)),
                              now = quote(Identifier(scope.mapping.new_columns[pair].soak_name));
            if (before != now) text = with_word(text, before, now);
        }
        return head + text;
    }

    static std::string with_word(const std::string &text, const std::string &word,
                                 const std::string &other) {
        const auto is_part = [](char c) {
            return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '"' || c == '$';
        };
        std::string result;
        bool in_string = false;
        for (size_t at = 0; at < text.size();) {
            in_string = in_string != (text[at] == '\'');
            const bool found =
                !in_string && text.compare(at, word.size(), word) == 0 &&
                (at == 0 || !is_part(text[at - 1])) &&
                (at + word.size() == text.size() || !is_part(text[at + word.size()]));
            result += found ? other : text.substr(at, 1);
            at += found ? word.size() : 1;
        }
        return result;
    }

    Rows texts(const CarryScope &scope) const {
        Parameters parameters{scope.migration.relation};
        if (class_id_ == pg_trigger_id) add_renames(scope, parameters);
        return query(sql_, parameters);
    }

    Carried carried_of(const CarryScope &scope, const Rows &rows, size_t row) const {
        return {name_,
                rows.text(row, 1),
                "",
                rows.text(row, 2),
                "",
                true,
                partition_of(scope, rows.oid(row, 5)),
                rows.text(row, 3),
                rows.text(row, 6),
                lists_renamed(scope, rows.text(row, 4)) ? of_both : ""};
    }

    // The table may have another name since the text was written, and another table that one.
    static std::string on_table_of_now(std::string statement, const std::string &then,
                                       const std::string &now) {
        for (const std::string before : {" ON ", "ALTER TABLE "})
            if (const size_t at = statement.find(before + then + " "); at != std::string::npos)
                return statement.replace(at + before.size(), then.size(), now);
        return statement;
    }

    static void add_renames(const CarryScope &scope, Parameters &parameters) {
        std::vector<std::string> leaders, followers;
        for (const auto &two : renames_under_way(scope.migration.relation)) {
            leaders.push_back(two.leader);
            followers.push_back(two.follower);
        }
        parameters.emplace_back(fmt::format("{}", fmt::join(leaders, "\x01")));
        parameters.emplace_back(fmt::format("{}", fmt::join(followers, "\x01")));
    }

    static bool lists_renamed(const CarryScope &scope, const std::string &listed) {
        if (scope.keeps_names()) return false;
        for (const auto &column : split(listed, '\x01'))
            if (pair_at(scope, column)) return true;
        return false;
    }

    const char *name_;
    const char *what_;
    uint32_t class_id_;
    int rank_;
    const char *sql_;
};

// Without the second name of a column that has two: that one is added whenever it is put on.
const NamedText trigger_carrier(
    "trigger", "TRIGGER", pg_trigger_id, 75,
    R"(
    SELECT t.oid, t.tgname,
           concat_ws(E'\x01',
               CASE WHEN l.whole IS NULL THEN pg_get_triggerdef(t.oid)
                    ELSE replace(pg_get_triggerdef(t.oid), ' UPDATE OF ' || l.whole, ' UPDATE OF ' || l.kept) END,
               CASE t.tgenabled WHEN 'D' THEN format('ALTER TABLE %s DISABLE TRIGGER %I', r.name, t.tgname)
                                WHEN 'R' THEN format('ALTER TABLE %s ENABLE REPLICA TRIGGER %I', r.name, t.tgname)
                                WHEN 'A' THEN format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', r.name, t.tgname) END,
               (SELECT format('COMMENT ON TRIGGER %I ON %s IS %L', t.tgname, r.name, c)
                  FROM obj_description(t.oid, 'pg_trigger') AS c WHERE c IS NOT NULL)),
           (SELECT string_agg(DISTINCT format('%s.%s', d.refobjid, d.refobjsubid), ' ') FROM pg_depend d
             WHERE d.classid = 'pg_trigger'::regclass AND d.objid = t.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
               AND NOT (d.refobjid = t.tgrelid AND d.refobjsubid = ANY (coalesce(l.following, '{}')))),
           l.names, t.tgrelid, r.name, '', t.xmin
      FROM pg_trigger t
     CROSS JOIN LATERAL (SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = t.tgrelid) r
     CROSS JOIN LATERAL (
         SELECT string_agg(quote_ident(c.attname), ', ' ORDER BY c.n) AS whole,
                string_agg(quote_ident(c.attname), ', ' ORDER BY c.n) FILTER (WHERE NOT c.follows) AS kept,
                array_agg(c.attnum::integer) FILTER (WHERE c.follows) AS following,
                string_agg(c.attname, E'\x01') AS names
           FROM (SELECT u.n, a.attnum, a.attname,
                        EXISTS (SELECT FROM unnest(string_to_array($2, E'\x01'), string_to_array($3, E'\x01')) AS two(leader, follower)
                                  JOIN pg_attribute o ON o.attrelid = t.tgrelid AND o.attname = two.leader AND o.attnum = ANY (t.tgattr::int2[])
                                 WHERE two.follower = a.attname) AS follows
                   FROM unnest(t.tgattr::int2[]) WITH ORDINALITY AS u(attnum, n)
                   JOIN pg_attribute a ON a.attrelid = t.tgrelid AND a.attnum = u.attnum) c) l
     WHERE t.tgrelid = ANY ()" ZDM_TREE_OF(
        "$1::oid") R"() AND NOT t.tgisinternal AND t.tgparentid = 0 AND t.tgname NOT LIKE '~zdm\_sync\_%'
     ORDER BY t.tgname, t.tgrelid)");

const NamedText policy_carrier("policy", "POLICY", pg_policy_id, 76, R"(
    SELECT p.oid, p.polname,
           concat_ws(E'\x01',
               format('CREATE POLICY %I ON %s AS %s FOR %s TO %s%s%s', p.polname, r.name,
                      CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
                      CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
                      (SELECT string_agg(CASE u.role WHEN 0 THEN 'PUBLIC' ELSE quote_ident(r.rolname) END, ', ' ORDER BY r.rolname)
                         FROM unnest(p.polroles) AS u(role) LEFT JOIN pg_roles r ON r.oid = u.role),
                      ' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')',
                      ' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')'),
               (SELECT format('COMMENT ON POLICY %I ON %s IS %L', p.polname, r.name, c)
                  FROM obj_description(p.oid, 'pg_policy') AS c WHERE c IS NOT NULL)),
           (SELECT string_agg(DISTINCT format('%s.%s', d.refobjid, d.refobjsubid), ' ') FROM pg_depend d
             WHERE d.classid = 'pg_policy'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0),
           '', p.polrelid, r.name,
           concat_ws(E'\x01', pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)), p.xmin
      FROM pg_policy p
     CROSS JOIN LATERAL (SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = p.polrelid) r
     WHERE p.polrelid = ANY ()" ZDM_TREE_OF("$1::oid") R"() ORDER BY p.polname, p.polrelid)");

}  // namespace
}  // namespace zdm
