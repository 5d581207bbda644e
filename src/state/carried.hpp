// What hangs on the old columns of one table and comes along at cutover: rows of zdm.carried. A
// migration is given as that table sees it (on_each_table).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "state/migration.hpp"

namespace zdm {

struct Carried {
    std::string carrier;            // names the code in src/carry
    std::string object;             // its name on the old column, and for ever
    std::string shadow;             // its counterpart's name until cutover
    std::string definition;         // on the old column
    std::string shadow_definition;  // on the new one
    bool keep_old = true;  // the old column's own may stay during soak: it can fail no write
    // Another relation that cutover must lock because of it, such as the partition that it is on;
    // 0: none.
    uint32_t related = 0;
    // Which columns it reads, by number: another migration's cutover exchanges names, not numbers.
    std::string columns = {};
    // The index of the parent table that a partition's one belongs to, behind that table's OID and
    // a dot, for a partition in another schema may have one of the same name; the schema of
    // statistics, quoted, where it is not the table's; the table's name in the text of a trigger or
    // a policy; the OID of the partition that a foreign key is of, or refers to.
    std::string parent = {};
    // Of a deferrable key: " DEFERRABLE ..."; of a partition's: what it is, and that; of a
    // generated column: that its values are compared; of a trigger: that it fires for both names;
    // of a foreign key: that its counterpart waits for a cutover to be called for.
    std::string timing = {};

    bool operator==(const Carried &other) const {
        return carrier == other.carrier && object == other.object && related == other.related &&
               definition == other.definition && shadow_definition == other.shadow_definition &&
               columns == other.columns && parent == other.parent && timing == other.timing;
    }
    bool operator!=(const Carried &other) const { return !(*this == other); }
};

std::vector<Carried> load_carried(const Migration &migration);
// Of that carrier, those that name this one as Carried::parent.
std::vector<Carried> parts_of(const Migration &migration, const std::string &carrier,
                              const Carried &parent);
// The names of what one carrier takes along, on all of the migration's tables.
std::vector<std::string> carried_objects(const Migration &migration, const std::string &carrier);
// The other relation has another OID now.
void set_related(const Migration &migration, const Carried &carried, uint32_t related);
void replace_carried(const Migration &migration, const std::vector<Carried> &carried);

// A migration in soak whose cutover came later and took along something that this one carries too,
// as it was then: that one is reverted first.
struct LaterCutover {
    std::string name;
    std::string object;  // that both carry
    bool reverting = false;
};
std::optional<LaterCutover> cut_over_later(const Migration &migration);

}  // namespace zdm
