# The controller, and the agent that runs beside Envoy in routers: two bundled programs on Node 24.
# `npm run images -- operator` writes the build context (dist/images/operator) and builds this.
ARG BASE=node:24-bookworm-slim
FROM ${BASE}
LABEL org.opencontainers.image.title="slipway-operator" \
      org.opencontainers.image.description="Slipway's controller" \
      org.opencontainers.image.licenses="Apache-2.0"
# One arena: with more of them, glibc keeps what each thread freed (decision 0252).
ENV NODE_ENV=production MALLOC_ARENA_MAX=1
WORKDIR /app
COPY app/ /app/
USER 65532:65532
# Metrics, health.
EXPOSE 8080 8081
# Node 24's default young generation costs some 115 MiB here and buys nothing. The old generation follows the
# container's memory limit; too small a heap makes V8 collect all the time, so the limit is the knob to turn. The HTTP
# client's parser is WebAssembly; V8's optimizing compiler for that takes memory and saves no time here (decision 0251).
ENTRYPOINT ["node", "--max-semi-space-size=4", "--liftoff-only", "--max-old-space-size-percentage=70", "/app/main.mjs"]
