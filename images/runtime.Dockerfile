# The ONNX server, and the fetch, resolve and inspect commands: one bundled file, plus onnxruntime's linux-x64 CPU
# binary. `npm run images -- runtime` writes the build context (dist/images/runtime) and builds this.
ARG BASE=node:24-bookworm-slim
FROM ${BASE}
LABEL org.opencontainers.image.title="slipway-runtime" \
      org.opencontainers.image.description="Slipway's ONNX server" \
      org.opencontainers.image.licenses="Apache-2.0 AND MIT"
# One arena: glibc gives each thread one of its own, which keeps what was freed in it (docs/decisions/0293).
ENV NODE_ENV=production MALLOC_ARENA_MAX=1
WORKDIR /app
COPY app/ /app/
# en_US.UTF-8, which text models ask for by name, has the letters of the base's C.UTF-8.
COPY locale/ /usr/lib/locale/
USER 65532:65532
# Inference over HTTP and gRPC, metrics.
EXPOSE 8080 9000 9090
# Tensors live outside V8's heap, so a model's memory is not bounded by these; they keep JavaScript's own part small.
# Left to itself, V8 collects its whole heap after every 32 MB or so of tensors: a third of the CPU time of large ones.
# And it takes up to 128 MiB in each thread for young objects, under any limit, without being faster (docs/decisions/0340).
# A signal must not open the debugger.
ENTRYPOINT ["node", "--disable-sigusr1", "--max-old-space-size-percentage=50", "--external-memory-accounted-in-global-limit", "--max-semi-space-size=8", "/app/main.mjs"]
CMD ["serve"]
