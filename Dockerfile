# The server alone, as a user without rights.
#
#   docker build -t costate .
#   docker run --rm -p 127.0.0.1:4310:4310 -v costate:/var/lib/costate costate
#
# The volume keeps the jobs (and compiled kernels) when the container goes.
#
# Inside the container the server listens on every address, without TLS: nothing reaches it but
# what the container's network lets in, and -p above publishes the port on the loopback only. To
# serve other machines give certificates instead, which replaces the arguments in CMD:
#
#   docker run -p 4310:4310 -v costate:/var/lib/costate -v /etc/costate:/etc/costate:ro \
#     costate --address=0.0.0.0:4310 --tls-cert=/etc/costate/tls.crt --tls-key=/etc/costate/tls.key
#
# The C++ code is compiled for COSTATE_MARCH (x86-64-v3: every x86 server since 2015); kernels of
# models are compiled for the machine the container runs on.
FROM debian:bookworm-slim AS build
WORKDIR /src
COPY deploy/ci/install-packages deploy/ci/install-packages
RUN deploy/ci/install-packages build && rm -rf /var/lib/apt/lists/*
COPY . .
ARG JOBS=
ARG COSTATE_MARCH=x86-64-v3
RUN cmake --preset release -DBUILD_TESTING=OFF -DCOSTATE_MARCH=${COSTATE_MARCH} \
    && cmake --build build/release --parallel ${JOBS:-$(nproc)} --target costated \
    && install -D --strip build/release/server/costated /out/costated \
    && deploy/ci/runtime-packages /out/costated > /out/packages

FROM debian:bookworm-slim
RUN --mount=type=bind,from=build,source=/out,target=/out \
    apt-get update \
    && xargs apt-get install --yes --no-install-recommends ca-certificates < /out/packages \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home --home-dir /var/lib/costate --shell /usr/sbin/nologin costate
COPY --from=build /out/costated /usr/bin/costated
COPY LICENSE /usr/share/doc/costate/copyright
USER 10001:10001
ENV HOME=/var/lib/costate
WORKDIR /var/lib/costate
EXPOSE 4310
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s \
    CMD ["costated", "--health-check=localhost:4310"]
ENTRYPOINT ["costated"]
CMD ["--address=0.0.0.0:4310", "--allow-insecure"]
