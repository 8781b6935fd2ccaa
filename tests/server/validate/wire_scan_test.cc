#include "server/validate/wire_scan.h"

#include <random>
#include <string>

#include "costate/v1/solve.pb.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "tests/server/proto_matchers.h"

namespace costate {
namespace {

using google::protobuf::io::ArrayInputStream;
using google::protobuf::io::CodedInputStream;
using ::testing::HasSubstr;

absl::Status Scan(const std::string& bytes, const WireLimits& limits = {1000, 10}) {
  // Small blocks, as they come from a network.
  ArrayInputStream stream(bytes.data(), static_cast<int>(bytes.size()), 7);
  CodedInputStream input(&stream);
  return ScanMessage(&input, static_cast<int>(bytes.size()), *v1::SolveRequest::descriptor(),
                     limits);
}

v1::SolveRequest Example() {
  return FromText<v1::SolveRequest>(R"pb(
    simulation {
      model { text: "state x = 1" }
      t0: [ 0, 1 ]
      t1: 5
      params {
        name: "k"
        array {
          shape: [ 2, 1 ]
          data: "1234567812345678"
        }
      }
      options {
        adaptive { rtol: 1e-3 }
        save { times { times { values: [ 1, 2 ] } } }
      }
    }
    omit_outputs: true)pb");
}

TEST(ScanMessage, AcceptsWhatTheSerialiserWrites) {
  EXPECT_TRUE(Scan(Example().SerializeAsString()).ok());
  EXPECT_TRUE(Scan("").ok());
}

// simulation, model, params, array, options, adaptive, save, times, times
TEST(ScanMessage, CountsSubmessagesAtEveryDepth) {
  const std::string bytes = Example().SerializeAsString();
  EXPECT_TRUE(Scan(bytes, {9, 10}).ok());
  EXPECT_THAT(std::string(Scan(bytes, {8, 10}).message()), HasSubstr("more than 8 submessages"));
}

TEST(ScanMessage, StopsFloodsOfEmptySubmessages) {
  std::string params;
  for (int i = 0; i < 2000; ++i) params += std::string("\x22\x00", 2);  // Simulation.params: {}
  std::string bytes = "\x0a";
  bytes += static_cast<char>(0x80 | (params.size() & 0x7f));
  bytes += static_cast<char>(params.size() >> 7);
  bytes += params;
  EXPECT_TRUE(v1::SolveRequest().ParseFromString(bytes));
  EXPECT_EQ(Scan(bytes).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(Scan(bytes, {2001, 10}).ok());
}

TEST(ScanMessage, StopsFloodsOfUnknownFields) {
  std::string bytes;
  for (int i = 0; i < 10; ++i) bytes += std::string("\xf8\x3f\x01", 3);  // field 1023, varint 1
  EXPECT_TRUE(Scan(bytes).ok());
  bytes += std::string("\xf8\x3f\x01", 3);
  EXPECT_THAT(std::string(Scan(bytes).message()), HasSubstr("does not know"));
}

TEST(ScanMessage, RefusesTruncatedMessages) {
  const std::string bytes = Example().SerializeAsString();
  int refused = 0;
  for (size_t length = 1; length < bytes.size(); ++length) {
    const std::string cut = bytes.substr(0, length);
    const bool parses = v1::SolveRequest().ParseFromString(cut);
    EXPECT_EQ(Scan(cut).ok(), parses) << length;
    refused += parses ? 0 : 1;
  }
  EXPECT_GT(refused, 10);
}

TEST(ScanMessage, RefusesLengthsPastTheEnd) {
  EXPECT_FALSE(Scan("\x0a\xff\xff\xff\xff\x07").ok());  // simulation of 2^31 - 1 bytes
  EXPECT_FALSE(Scan("\x0a\x7f").ok());
  EXPECT_FALSE(Scan("\x0b").ok());  // a group that never ends
}

// Unknown groups nest; the depth is bounded.
TEST(ScanMessage, RefusesDeepGroups) { EXPECT_FALSE(Scan(std::string(100'000, '\x7b')).ok()); }

// What passes the scan may still fail to parse; what parses passes the scan.
TEST(ScanMessage, NeverRefusesWhatParses) {
  std::mt19937 random(1);
  const std::string bytes = Example().SerializeAsString();
  int parsed = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string changed = bytes;
    for (int i = 0; i < 3; ++i) changed[random() % changed.size()] = static_cast<char>(random());
    if (!v1::SolveRequest().ParseFromString(changed)) {
      Scan(changed).IgnoreError();  // must not crash
      continue;
    }
    ++parsed;
    EXPECT_TRUE(Scan(changed, {1000, 1000}).ok());
  }
  EXPECT_GT(parsed, 1000);
}

}  // namespace
}  // namespace costate
