# The service without a Postgres of its own: give it a DATABASE_URL.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin bloom && cp target/release/bloom /usr/local/bin/bloom

FROM debian:bookworm-slim
# The certificate authorities, for TLS to Postgres.
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
