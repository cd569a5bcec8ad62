# The image of harproxy: the binary, the roots that it trusts, and wget for health checks.
#
#     docker build -t harproxy .                                # builds the binary from source
#     docker build -t harproxy --build-arg BINARY=released .    # takes the binary of scripts/release from dist/
ARG BINARY=built

FROM rust:1-slim-bookworm AS built
WORKDIR /src
COPY . .
RUN cargo build --profile dist --locked && cp target/dist/harproxy /harproxy

FROM debian:bookworm-slim AS released
COPY dist /dist
WORKDIR /dist
RUN sha256sum --check --quiet SHA256SUMS && cp harproxy-*-"$(uname -m)"-unknown-linux-gnu /harproxy && chmod 755 /harproxy

FROM ${BINARY} AS binary

FROM debian:bookworm-slim
# Any user can write to the folders: `docker run --user` gives harproxy the user of a mounted project.
# hadolint ignore=DL3008
RUN apt-get update \
  && apt-get install --yes --no-install-recommends ca-certificates wget \
  && rm -rf /var/lib/apt/lists/* \
  && useradd --create-home --uid 1000 harproxy \
  && install --directory --mode 1777 /app /data /trust
COPY --from=binary /harproxy /usr/local/bin/harproxy
USER 1000
WORKDIR /app
# The CA is created in /data/harproxy at first use.
ENV XDG_DATA_HOME=/data
VOLUME ["/app", "/data"]
EXPOSE 8899
ENTRYPOINT ["harproxy"]
