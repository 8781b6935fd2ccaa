// The golden corpus: good texts with their IR, bad texts with all their issues.
//
// COSTATE_UPDATE_GOLDEN=1 writes the expected files anew; read the difference before keeping it.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "engine/model/model.h"
#include "tests/engine/model/model_files.h"

namespace costate {
namespace {

namespace fs = std::filesystem;

bool Updating() {
  const char* flag = std::getenv("COSTATE_UPDATE_GOLDEN");
  return flag != nullptr && std::string(flag) == "1";
}

void ExpectGolden(const fs::path& path, const std::string& text) {
  if (Updating()) {
    std::ofstream(path, std::ios::binary) << text;
    return;
  }
  ASSERT_TRUE(fs::exists(path)) << path;
  EXPECT_EQ(text, ReadFile(path)) << path;
}

TEST(CorpusTest, GoodTextsGiveTheirIr) {
  std::vector<fs::path> files = ModelFiles("golden/models/good");
  const std::vector<fs::path> problems = ModelFiles("problems");
  files.insert(files.end(), problems.begin(), problems.end());
  ASSERT_GE(files.size(), 25);
  for (const fs::path& path : files) {
    SCOPED_TRACE(path);
    const std::string text = ReadFile(path);
    const ParsedModel parsed = ParseModel(text);
    ASSERT_TRUE(parsed.ok()) << FormatIssues(path.filename().string(), text, parsed.issues);
    const fs::path folder = TestsFolder() / "golden/models/good";
    ExpectGolden(folder / (path.stem().string() + ".ir"), CanonicalText(parsed.ir));
  }
}

TEST(CorpusTest, BadTextsGiveTheirIssues) {
  const std::vector<fs::path> files = ModelFiles("golden/models/bad");
  ASSERT_GE(files.size(), 60);
  for (const fs::path& path : files) {
    SCOPED_TRACE(path);
    const std::string text = ReadFile(path);
    const ParsedModel parsed = ParseModel(text);
    EXPECT_FALSE(parsed.ok());
    fs::path expected = path;
    ExpectGolden(expected.replace_extension(".issues"),
                 FormatIssues(path.filename().string(), text, parsed.issues));
  }
}

TEST(CorpusTest, ExamplesOfTheGrammarPageParse) {
  const std::string page = ReadFile(TestsFolder().parent_path() / "engine/model/grammar.md");
  const std::string fence = "```\n";
  int num_models = 0;
  size_t begin = page.find(fence);
  while (begin != std::string::npos) {
    begin += fence.size();
    const size_t end = page.find(fence, begin);
    ASSERT_NE(end, std::string::npos);
    const std::string text = page.substr(begin, end - begin);
    if (text.find("\nstate ") != std::string::npos) {
      const ParsedModel parsed = ParseModel(text);
      EXPECT_TRUE(parsed.ok()) << FormatIssues("grammar.md", text, parsed.issues);
      ++num_models;
    }
    begin = page.find(fence, end + fence.size());
  }
  EXPECT_EQ(num_models, 4);
}

}  // namespace
}  // namespace costate
