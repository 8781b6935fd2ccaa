// A solve that outlives the call that made it: later calls differentiate it without solving again.
//
//   ASSIGN_OR_RETURN(std::unique_ptr<KeptSolve> kept, engine.Keep(request));
//   ASSIGN_OR_RETURN(GradientResult one, kept->Differentiate(loss));
//   ASSIGN_OR_RETURN(GradientResult other, kept->Differentiate(other_loss));
#ifndef COSTATE_ENGINE_KEPT_SOLVE_H_
#define COSTATE_ENGINE_KEPT_SOLVE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/base/stop_source.h"
#include "engine/bind.h"
#include "engine/engine.h"
#include "engine/gradient_pass.h"

namespace costate {

// Gradients have the bits of Engine::Differentiate and Engine::ComputeVjp with the same save times,
// method and options. A trajectory that ended early has NaN gradients, as there. A call that is cut
// short leaves the solve as it was. The wall budget of the simulation holds for each call.
//
// Thread-safety: all members may be called from any thread; calls on one object run one after
// another.
class KeptSolve {
 public:
  // Behind the door: see Engine::Keep.
  static absl::StatusOr<std::unique_ptr<KeptSolve>> Create(const KeepRequest& request,
                                                           const Cancellation* cancellation);
  ~KeptSolve();
  KeptSolve(const KeptSolve&) = delete;
  KeptSolve& operator=(const KeptSolve&) = delete;

  // As Engine::Solve gives it, of the gradient's own pass: copied, [B] trajectories. Its timing is
  // that of the solve.
  SolveResult solution() const;
  const std::vector<WrtEntry>& wrt() const { return wrt_; }
  GradientMethod method() const { return method_; }  // in force
  const std::string& method_reason() const { return method_reason_; }
  TangentControl tangent_control() const { return gradient_.tangent_control; }
  int64_t num_trajectories() const { return bound_.num_trajectories; }
  const Resolution& resolution() const { return resolution_; }

  // Memory held until this goes, about: saved values, and what the passes keep for gradients. A
  // call may raise it, by what its method works with on the way back.
  int64_t stored_bytes() const { return stored_bytes_.load(std::memory_order_relaxed); }

  // Both wait for calls before them; a cancellation ends the wait with the status of
  // PollCancellation.
  //
  // Times of the loss are saved times: INVALID_ARGUMENT at loss.terms[i]...times[j] with the
  // nearest of them. Running losses are refused: they are part of the solve.
  absl::StatusOr<GradientResult> Differentiate(const Loss& loss,
                                               const Cancellation* cancellation = nullptr);
  // Likewise, of a solve that is not batched.
  absl::StatusOr<VjpResult> ComputeVjp(const std::vector<Loss>& cotangents,
                                       const Cancellation* cancellation = nullptr);

 private:
  class Turn;
  struct Kept {
    AdjointOptions adjoint;  // with this trajectory's share of the budget
    std::unique_ptr<GradientPass> pass;
    Termination termination;  // of the solve, which calls that are cut short write over
    GradientStats stats;      // likewise
  };

  explicit KeptSolve(const KeepRequest& request);
  absl::Status Prepare(const KeepRequest& request, const Cancellation* cancellation);
  absl::Status SolveAll();
  absl::Status SolveOne(int64_t trajectory, int64_t budget);
  PassInput InputOf(int64_t trajectory) const;
  absl::Status CheckForwardRoom() const;
  absl::Status CheckTimes(const Loss& loss, std::string_view path) const;
  absl::StatusOr<absl::Duration> PrepareKernelsFor(int64_t num_cotangents) const;
  int64_t CountBytes() const;

  absl::Status Begin(const Cancellation* cancellation) ABSL_LOCKS_EXCLUDED(mutex_);
  void End() ABSL_LOCKS_EXCLUDED(mutex_);
  // Around what a call does with a trajectory's pass.
  static void Restore(Kept* kept);
  // As if the call had solved too, and no other had been there.
  static GradientStats StatsOfCall(const Kept& kept, const AdjointStats& before);

  const std::shared_ptr<const Model> model_;
  const GradientOptions gradient_;
  const absl::Duration wall_budget_;
  // Set once, by Create.
  BoundSimulation bound_;
  std::vector<WrtEntry> wrt_;
  SolveOptions options_;
  Resolution resolution_;
  GradientMethod method_ = GradientMethod::kForward;
  std::string method_reason_;
  EngineTiming timing_;
  std::atomic<int64_t> stored_bytes_{0};

  absl::Mutex mutex_;
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;
  // Of the call whose turn it is. Saved values of the passes do not change after Create.
  StopSource stop_;
  std::vector<Kept> kept_;  // [B]
};

}  // namespace costate

#endif  // COSTATE_ENGINE_KEPT_SOLVE_H_
