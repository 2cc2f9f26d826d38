# The stage as an image: the program, the authorities that certificates are signed by, and nothing else that could be run.
#
#     docker build --tag anthropic-ecs:0.1.0 --build-arg COMMIT="$(git rev-parse HEAD)" .
#
# What the program is made of: /usr/share/doc/anthropic-ecs/sbom.cdx.json in the image lists every crate (CycloneDX). The
# program carries the same list in itself (cargo auditable), where scanners of images find it, and so does
# `docker buildx build --sbom=true --provenance=mode=max`, which attests what the image as a whole holds. To get the file:
#
#     docker build --target sbom --output sbom .
#
# Both bases are named by digest: what was tried is what is built. Debian 12 in both, since the program is linked to its libc.

FROM rust:1.95.0-slim-bookworm@sha256:d7482085ff5b415f84dba5647ae71606650bdef00db7aeb69f4b3d170c3e4082 AS build

# librdkafka, OpenSSL and zstd are built from source. Debian keeps no old versions to be named here.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ make perl \
    && rm -rf /var/lib/apt/lists/*
RUN cargo install --locked cargo-auditable@0.7.7 cargo-cyclonedx@0.5.9

WORKDIR /src
COPY . .
# The history is not in here, so the commit is told; it is shown by --version.
ARG COMMIT=""
ENV ANTHROPIC_ECS_COMMIT=$COMMIT
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo auditable build --locked --release --package anthropic-ecs \
    && install -D target/release/anthropic-ecs /out/usr/bin/anthropic-ecs \
    && cargo cyclonedx --manifest-path crates/cli/Cargo.toml --all --format json --spec-version 1.5 \
        --override-filename sbom.cdx \
    && install -D --mode=644 --target-directory=/out/usr/share/doc/anthropic-ecs \
        crates/cli/sbom.cdx.json LICENSE NOTICE \
    && mkdir -p /out/var/lib/anthropic-ecs

FROM scratch AS sbom
COPY --from=build /out/usr/share/doc/anthropic-ecs/sbom.cdx.json /

FROM gcr.io/distroless/cc-debian12:nonroot@sha256:9dac0a79194e45a7da0158a9c6da57b217585af0786db3845d1f0ec1a0dd182f
ARG COMMIT=""
LABEL org.opencontainers.image.title="anthropic-ecs" \
    org.opencontainers.image.description="Anthropic's Compliance API activity feed as Elastic Common Schema documents" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.revision="$COMMIT"
COPY --from=build /out/usr /usr
# A volume that is put here takes this owner over.
COPY --from=build --chown=65532:65532 /out/var/lib/anthropic-ecs /var/lib/anthropic-ecs
USER 65532:65532
WORKDIR /var/lib/anthropic-ecs
EXPOSE 9464
ENTRYPOINT ["/usr/bin/anthropic-ecs"]
CMD ["--help"]
