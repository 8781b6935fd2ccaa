// The version of this server, "major.minor.patch".
#ifndef COSTATE_SERVER_VERSION_H_
#define COSTATE_SERVER_VERSION_H_

namespace costate {

#ifndef COSTATE_VERSION
#error "COSTATE_VERSION comes from the build"
#endif
inline constexpr char kVersion[] = COSTATE_VERSION;

}  // namespace costate

#endif  // COSTATE_SERVER_VERSION_H_
