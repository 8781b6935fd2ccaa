// A solve that outlives the call that made it: later calls differentiate it without solving again.
//
//   ASSIGN_OR_RETURN(std::unique_ptr<KeptSolve> kept, engine.Keep(request));
//   ASSIGN_OR_RETURN(GradientResult one, kept->Differentiate(loss));
//   ASSIGN_OR_RETURN(GradientResult other, kept->Differentiate(other_loss));
#ifndef COSTATE_ENGINE_KEPT_SOLVE_H_
#define COSTATE_ENGINE_KEPT_SOLVE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/engine.h"

namespace costate {

// Gradients have the bits of Engine::Differentiate and Engine::ComputeVjp with the same save times,
// method and options. A trajectory that ended early has NaN gradients, as there. A call that is cut
// short leaves the solve as it was. The wall budget of the simulation holds for each call. The
// memory budget holds for all trajectories together.
//
// Thread-safety: all members may be called from any thread; calls on one object run one after
// another.
class KeptSolve {
 public:
  virtual ~KeptSolve() = default;

  // As Engine::Solve gives it, of the gradient's own pass: copied, [B] trajectories.
  virtual SolveResult Solution() const = 0;

  // What is kept.
  struct Facts {
    std::vector<WrtEntry> wrt;
    GradientMethod method = GradientMethod::kForward;  // in force
    std::string method_reason;
    TangentControl tangent_control = TangentControl::kFull;
    int64_t num_columns = 0;                // of wrt
    int64_t num_values = 0;                 // of a saved row: states and outputs
    Resolution resolution;                  // of the solve
    EngineTiming timing;                    // likewise
    std::vector<Termination> terminations;  // [B]
    std::vector<GradientStats> stats;       // [B], of the solve
  };
  virtual const Facts& facts() const = 0;

  // Memory held until this goes, about: saved values, and what the passes keep for gradients. A
  // call may raise it, by what its method works with on the way back.
  virtual int64_t stored_bytes() const = 0;

  // Both wait for calls before them; a cancellation ends the wait with CANCELLED, DEADLINE_EXCEEDED
  // or UNAVAILABLE by its reason.
  //
  // Times of the loss are saved times: INVALID_ARGUMENT at loss.terms[i]...times[j] with the
  // nearest of them. Running losses are refused: they are part of the solve.
  virtual absl::StatusOr<GradientResult> Differentiate(
      const Loss& loss, const Cancellation* cancellation = nullptr) = 0;
  // Likewise, of a solve that is not batched.
  virtual absl::StatusOr<VjpResult> ComputeVjp(const std::vector<Loss>& cotangents,
                                               const Cancellation* cancellation = nullptr) = 0;
};

// Behind the door: Engine::Keep.
absl::StatusOr<std::unique_ptr<KeptSolve>> KeepSimulation(const KeepRequest& request,
                                                          const Cancellation* cancellation);

}  // namespace costate

#endif  // COSTATE_ENGINE_KEPT_SOLVE_H_
