# For the demo and the tests: a small HTTP server of model files, with the files in its image, and a client that
# asks for predictions without pause. Never part of a release.
# `npm run images -- modelstore` writes the build context (dist/images/modelstore) and builds this.
ARG BASE=node:24-bookworm-slim
FROM ${BASE}
LABEL org.opencontainers.image.title="slipway-modelstore" \
      org.opencontainers.image.description="Model files over HTTP, for Slipway's demo and tests" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV NODE_ENV=production
WORKDIR /app
COPY app/ /app/
COPY files/ /
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["node", "/app/main.mjs"]
