// Every table against the order conditions: for each rooted tree tau of order q,
//
//   sum_i b_i phi_i(tau) = 1 / gamma(tau),
//
// where phi of a single node is 1 and phi_i([tau_1 ... tau_m]) = prod_k sum_j a_ij phi_j(tau_k)
// (Hairer, Norsett, Wanner I, II.2, theorem 2.13). A continuous method has theta^q / gamma(tau) on
// the right (II.6).
#include "engine/solvers/rk/tableau.h"

#include <cmath>
#include <map>
#include <vector>

#include "engine/solvers/rk/erk.h"
#include "gtest/gtest.h"

namespace costate::rk {
namespace {

// A tree is the list of its root's subtrees, by index into the forest.
struct Tree {
  int order = 1;
  double gamma = 1;
  std::vector<int> children;  // ascending
};

// All trees up to `max_order`, orders ascending.
class Forest {
 public:
  explicit Forest(int max_order) {
    trees_.push_back({});
    for (int order = 2; order <= max_order; ++order) {
      const int known = static_cast<int>(trees_.size());
      std::vector<int> children;
      Add(order, order - 1, known - 1, children);
    }
  }
  const std::vector<Tree>& trees() const { return trees_; }

 private:
  // Chooses children of total order `rest`, none with an index above `largest`.
  void Add(int order, int rest, int largest, std::vector<int>& children) {
    if (rest == 0) {
      Tree tree{.order = order, .gamma = static_cast<double>(order), .children = children};
      for (const int child : children) tree.gamma *= trees_[child].gamma;
      trees_.push_back(tree);
      return;
    }
    for (int child = largest; child >= 0; --child) {
      if (trees_[child].order > rest) continue;
      children.push_back(child);
      Add(order, rest - trees_[child].order, child, children);
      children.pop_back();
    }
  }

  std::vector<Tree> trees_;
};

// phi_i of every tree, for all rows of the table.
std::vector<std::vector<double>> Phi(const TableauView& table, const Forest& forest) {
  std::vector<std::vector<double>> phi;
  std::vector<std::vector<double>> a_phi;  // sum_j a_ij phi_j
  for (const Tree& tree : forest.trees()) {
    std::vector<double> value(table.rows, 1.0), sum(table.rows, 0.0);
    for (const int child : tree.children) {
      for (int i = 0; i < table.rows; ++i) value[i] *= a_phi[child][i];
    }
    for (int i = 0; i < table.rows; ++i) {
      for (int j = 0; j < i; ++j) sum[i] += table.a[i * table.rows + j] * value[j];
    }
    phi.push_back(std::move(value));
    a_phi.push_back(std::move(sum));
  }
  return phi;
}

std::vector<double> WeightsAt(const TableauView& table, double theta) {
  std::vector<double> weights(table.rows, 0.0);
  for (int i = 0; i < table.rows; ++i) {
    for (int d = table.dense_degree - 1; d >= 0; --d) {
      weights[i] = (weights[i] + table.dense[i * table.dense_degree + d]) * theta;
    }
  }
  return weights;
}

// The largest residual of the conditions of order q at theta, for weights on rows.
std::map<int, double> Residuals(const TableauView& table, const std::vector<double>& weights,
                                double theta) {
  static const Forest forest(9);
  const std::vector<std::vector<double>> phi = Phi(table, forest);
  std::map<int, double> residuals;
  for (size_t k = 0; k < phi.size(); ++k) {
    const Tree& tree = forest.trees()[k];
    double sum = 0;
    for (size_t i = 0; i < weights.size(); ++i) sum += weights[i] * phi[k][i];
    double& largest = residuals[tree.order];
    largest = std::max(largest, std::abs(sum - std::pow(theta, tree.order) / tree.gamma));
  }
  return residuals;
}

TEST(Forest, CountsRootedTrees) {
  std::map<int, int> count;
  const Forest forest(9);
  for (const Tree& tree : forest.trees()) ++count[tree.order];
  // The number of rooted trees with n nodes (Cayley 1857).
  const std::map<int, int> expected = {{1, 1},  {2, 1},  {3, 2},   {4, 4},  {5, 9},
                                       {6, 20}, {7, 48}, {8, 115}, {9, 286}};
  EXPECT_EQ(count, expected);
}

class TableauTest : public testing::TestWithParam<Method> {
 protected:
  const TableauView table = GetTableau(GetParam());

  // Conditions hold up to `order` and fail at the next, so the order is not understated either.
  void ExpectOrder(const std::vector<double>& weights, double theta, int order) {
    for (const auto& [q, residual] : Residuals(table, weights, theta)) {
      if (q <= order) {
        EXPECT_LT(residual, 3e-14) << "order " << q << ", theta " << theta;
      }
      if (q == order + 1) {
        EXPECT_GT(residual, 1e-7) << "order " << q << ", theta " << theta;
      }
    }
  }
};

TEST_P(TableauTest, RowSumsAreNodes) {
  for (int i = 0; i < table.rows; ++i) {
    double sum = 0;
    for (int j = 0; j < table.rows; ++j) {
      sum += table.a[i * table.rows + j];
      if (j >= i) {
        EXPECT_EQ(table.a[i * table.rows + j], 0);
      }
    }
    EXPECT_NEAR(sum, table.c[i], 2e-14) << "row " << i;
  }
}

TEST_P(TableauTest, SolutionHasItsOrder) {
  ExpectOrder({table.b.begin(), table.b.end()}, 1, table.info.order);
}

TEST_P(TableauTest, EmbeddedSolutionHasItsOrder) {
  std::vector<double> b_hat(table.b.begin(), table.b.end());
  double largest = 0;
  for (size_t i = 0; i < b_hat.size(); ++i) {
    b_hat[i] -= table.e[i];
    largest = std::max(largest, std::abs(table.e[i]));
  }
  if (table.info.error_order == 0) {
    EXPECT_EQ(largest, 0);
  } else {
    ExpectOrder(b_hat, 1, table.info.error_order);
  }
}

TEST_P(TableauTest, DenseOutputHasItsOrder) {
  for (const double theta : {0.1, 0.35, 0.5, 0.8}) {
    ExpectOrder(WeightsAt(table, theta), theta, table.info.dense_order);
  }
}

// y(0) = y0, y(1) = y1, y'(0) = k_1, y'(1) = the derivative at the end, where the table has it.
TEST_P(TableauTest, DenseOutputJoinsSmoothly) {
  int end_row = -1;
  for (int i = 0; i < table.rows && end_row < 0; ++i) {
    bool same = table.c[i] == 1;
    for (int j = 0; j < table.rows; ++j) {
      same = same && table.a[i * table.rows + j] == (j < table.info.stages ? table.b[j] : 0);
    }
    if (same) end_row = i;
  }
  ASSERT_GE(end_row, 0);
  EXPECT_EQ(table.info.fsal, end_row == table.info.stages - 1);
  const std::vector<double> end = WeightsAt(table, 1);
  for (int i = 0; i < table.rows; ++i) {
    EXPECT_NEAR(end[i], i < table.info.stages ? table.b[i] : 0, 2e-13) << "row " << i;
    double slope = 0;
    for (int d = 0; d < table.dense_degree; ++d) {
      slope += (d + 1) * table.dense[i * table.dense_degree + d];
    }
    EXPECT_NEAR(slope, i == end_row ? 1 : 0, 2e-12) << "row " << i;
    EXPECT_NEAR(table.dense[i * table.dense_degree], i == 0 ? 1 : 0, 1e-15) << "row " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Methods, TableauTest,
                         testing::ValuesIn(RungeKuttaMethods().begin(), RungeKuttaMethods().end()),
                         [](const auto& info) {
                           return std::string(GetMethodInfo(info.param).name);
                         });

}  // namespace
}  // namespace costate::rk
