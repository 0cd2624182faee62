# Two images: the service (the last stage, without a Postgres of its own: give it a DATABASE_URL),
# and with `--target worker` a worker with the Claude CLI.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
ENV CARGO_PROFILE_RELEASE_STRIP=debuginfo
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin bloom && cp target/release/bloom /usr/local/bin/bloom

FROM node:22-bookworm-slim AS worker
# The certificate authorities, for TLS; git and ripgrep are what the CLI works with.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates git ripgrep \
    && rm -rf /var/lib/apt/lists/* \
    && npm install --global --no-audit --no-fund @anthropic-ai/claude-code@2.1.197 \
    && npm cache clean --force \
    && useradd --create-home --shell /usr/sbin/nologin bloom
COPY --from=build /usr/local/bin/bloom /usr/local/bin/bloom
COPY scripts/ready.sh /usr/local/bin/bloom-ready
USER bloom
WORKDIR /home/bloom
ENV BLOOM_LOG_FORMAT=json
# A container's first process also has to bury orphans: start it with `init`.
ENTRYPOINT ["bloom"]
CMD ["worker"]

FROM debian:bookworm-slim AS service
# The certificate authorities, for TLS to Postgres and to object storage.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --no-create-home --shell /usr/sbin/nologin bloom
COPY --from=build /usr/local/bin/bloom /usr/local/bin/bloom
COPY scripts/ready.sh /usr/local/bin/bloom-ready
USER bloom
# Other addresses than loopback need a RUNTIME_API_KEY.
ENV BLOOM_LISTEN=0.0.0.0:5000 BLOOM_LOG_FORMAT=json
EXPOSE 5000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["bloom-ready"]
ENTRYPOINT ["bloom"]
CMD ["serve"]
