# What our images stand on where node:24-bookworm-slim cannot be pulled: Node and the few Debian packages it is
# linked with; no shell, no package manager. images/base.ts writes the context.
FROM scratch
ENV PATH=/usr/local/bin:/usr/bin:/bin \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
COPY . /
