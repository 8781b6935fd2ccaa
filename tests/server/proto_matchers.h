// Messages from text, and matchers that look at the fields named.
//
//   EXPECT_THAT(response, Partially(R"pb(batched: true)pb"));
#ifndef COSTATE_TESTS_SERVER_PROTO_MATCHERS_H_
#define COSTATE_TESTS_SERVER_PROTO_MATCHERS_H_

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "costate/v1/array.pb.h"

namespace costate {

template <typename Message>
Message FromText(const std::string& text) {
  Message message;
  if (!google::protobuf::TextFormat::ParseFromString(text, &message)) {
    ADD_FAILURE() << "not a text proto of " << Message::descriptor()->full_name() << ": " << text;
  }
  return message;
}

// Fields not named in `text` may be anything; repeated fields named must be equal.
MATCHER_P(Partially, text, "") {
  using Message = std::decay_t<decltype(arg)>;
  const Message expected = FromText<Message>(text);
  google::protobuf::util::MessageDifferencer differencer;
  differencer.set_scope(google::protobuf::util::MessageDifferencer::PARTIAL);
  std::string difference;
  differencer.ReportDifferencesToString(&difference);
  const bool equal = differencer.Compare(expected, arg);
  *result_listener << difference;
  return equal;
}

MATCHER_P(EqualsProto, expected, "") {
  google::protobuf::util::MessageDifferencer differencer;
  std::string difference;
  differencer.ReportDifferencesToString(&difference);
  const bool equal = differencer.Compare(expected, arg);
  *result_listener << difference;
  return equal;
}

inline std::vector<double> Doubles(const v1::Array& array) {
  std::vector<double> values(array.data().size() / sizeof(double));
  if (!values.empty()) std::memcpy(values.data(), array.data().data(), 8 * values.size());
  return values;
}

inline std::string DoublesToBytes(const std::vector<double>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(double)};
}

}  // namespace costate

#endif  // COSTATE_TESTS_SERVER_PROTO_MATCHERS_H_
