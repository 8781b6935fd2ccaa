#include "tests/server/jobs/sqlite_place.h"
#include "tests/server/jobs/store_conformance.h"

namespace costate::jobs {
namespace {

INSTANTIATE_TEST_SUITE_P(Sqlite, StoreConformance,
                         testing::Values(SqliteInFile(), SqliteInMemory()), NameOfStore);

}  // namespace
}  // namespace costate::jobs
