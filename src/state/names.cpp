#include "state/names.hpp"

#include <regex>

#include <fmt/format.h>

#include "core/error.hpp"

#include "core/no_postgres.hpp"

namespace zdm {

namespace {

constexpr size_t name_bytes = 63;  // NAMEDATALEN - 1

// FNV-1a: two long names that begin alike must not become one.
uint32_t hash(const std::string &text) {
    uint32_t value = 2166136261U;
    for (const unsigned char byte : text) value = (value ^ byte) * 16777619U;
    return value;
}

std::string fitted(const std::string &prefix, const std::string &name) {
    if (prefix.size() + name.size() <= name_bytes) return prefix + name;
    const std::string suffix = fmt::format("_{:08x}", hash(name));
    const size_t room = name_bytes - prefix.size() - suffix.size();
    int kept = 0;
    check(zdm_clip_text(name.c_str(), static_cast<int>(room), &kept));
    return prefix + name.substr(0, static_cast<size_t>(kept)) + suffix;
}

}  // namespace

std::string new_column_name(const std::string &column) { return fitted("zdm_new_", column); }
std::string old_column_name(const std::string &column) { return fitted("zdm_old_", column); }
std::string sync_trigger_name(int64_t migration) { return fmt::format("~zdm_sync_{}", migration); }

std::string new_object_name(int64_t migration, const std::string &object) {
    return fitted(fmt::format("zdm_{}_new_", migration), object);
}

std::string old_object_name(int64_t migration, const std::string &object) {
    return fitted(fmt::format("zdm_{}_old_", migration), object);
}

std::string part_object_name(const std::string &source, const std::string &part,
                             const std::string &object) {
    const bool named_after_source = object.rfind(source + "_", 0) == 0;
    return fitted("", part + (named_after_source ? object.substr(source.size()) : "_" + object));
}

std::optional<ObjectOfMigration> object_of_migration(const std::string &name) {
    static const std::regex pattern("zdm_([0-9]{1,18})_(new|old)_.*");
    std::smatch match;
    if (!std::regex_match(name, match, pattern)) return std::nullopt;
    return ObjectOfMigration{std::stoll(match[1]), match[2] == "new"};
}

}  // namespace zdm
