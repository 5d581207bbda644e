#include "kind/not_null_proof.hpp"

#include "core/user.hpp"
#include "state/names.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

void check_not_null(const Table &table, const std::string &column, const char *what,
                    const std::string &given, const std::string &canonical, const ZdmType &type) {
    bool is_null = false;
    {
        OwnerScope as_owner(table.owner);  // it evaluates what is constant
        check(zdm_expression_is_null(table.relation, canonical.c_str(), &type, &is_null));
    }
    if (is_null)
        raise("22004", {},
              "zdm: cannot make column {} of {} NOT NULL: {} \"{}\" is NULL for every row; give an "
              "expression that is not",
              Identifier(column), table.name, what, given);
}

std::vector<Step> not_null_steps(const Table &table, const Migration &migration,
                                 const std::vector<std::string> &columns) {
    std::vector<Step> proofs, changes;
    for (const auto &name : columns) {
        const Identifier column(name);
        const std::string proof = new_object_name(migration.id, name + "_not_null");
        proofs.push_back({0, Phase::build, "impose_constraint", proof,
                          fmt::format("Demand that {} is not NULL in new writes", column),
                          fmt::format("ALTER TABLE {} ADD CONSTRAINT {} CHECK ({} IS NOT NULL) NOT "
                                      "VALID",
                                      table.quoted, Identifier(proof), column),
                          "ACCESS EXCLUSIVE"});
        proofs.push_back(
            {0, Phase::build, "prove_constraint", proof,
             fmt::format("Prove that {} is not NULL in any row", column),
             fmt::format("ALTER TABLE {} VALIDATE CONSTRAINT {}", table.quoted, Identifier(proof)),
             "SHARE UPDATE EXCLUSIVE"});
        changes.push_back(
            {0, Phase::build, "require_not_null", name,
             fmt::format("Make {} NOT NULL, which is proved and reads no row", column),
             fmt::format("ALTER TABLE {} ALTER COLUMN {} SET NOT NULL", table.quoted, column),
             "ACCESS EXCLUSIVE"});
    }
    proofs.insert(proofs.end(), changes.begin(), changes.end());
    return proofs;
}

}  // namespace zdm
