// Model texts of the test tree.
#ifndef COSTATE_TESTS_ENGINE_MODEL_MODEL_FILES_H_
#define COSTATE_TESTS_ENGINE_MODEL_MODEL_FILES_H_

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace costate {

inline std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline std::filesystem::path TestsFolder() {
  return std::filesystem::path(COSTATE_SOURCE_DIR) / "tests";
}

// The .ode files of a folder under tests/, by name.
inline std::vector<std::filesystem::path> ModelFiles(const std::string& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(TestsFolder() / folder)) {
    if (entry.path().extension() == ".ode") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// The text of a good model: of tests/problems, or of the corpus.
inline std::string ModelText(const std::string& name) {
  const std::filesystem::path problem = TestsFolder() / "problems" / (name + ".ode");
  if (std::filesystem::exists(problem)) return ReadFile(problem);
  return ReadFile(TestsFolder() / "golden/models/good" / (name + ".ode"));
}

}  // namespace costate

#endif  // COSTATE_TESTS_ENGINE_MODEL_MODEL_FILES_H_
