# Builds from the lock file; the generated code is committed, so no generator runs.
# The digests are those of the tags' multi-architecture indexes; change both together.
FROM node:24.18.0-bookworm-slim@sha256:6f7b03f7c2c8e2e784dcf9295400527b9b1270fd37b7e9a7285cf83b6951452d AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# Without the workspace of the client library, which the program does not need.
RUN npm ci --workspaces=false --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY src src
# `npm run build` would leave what a next build needs.
RUN npx tsc -p tsconfig.build.json
RUN npm prune --workspaces=false --omit=dev --ignore-scripts --no-audit --no-fund
COPY scripts/write-third-party-licences.mjs scripts/
RUN node scripts/write-third-party-licences.mjs > THIRD_PARTY_LICENCES

# No shell, no package manager; nothing is written, so the root file system may be read-only.
FROM gcr.io/distroless/nodejs24-debian12:nonroot@sha256:14d42e2511532589a7c7e01a753667a74fcc96266e137e8125006b87b0c32d0a
LABEL org.opencontainers.image.title="splitcache" \
      org.opencontainers.image.description="Caches Matrix events for homeservers" \
      org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /app
COPY LICENSE scripts/healthcheck.mjs ./
COPY --from=build /app/package.json /app/THIRD_PARTY_LICENCES ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
ENV NODE_ENV=production
# Without it glibc raises the size above which freed memory goes back to the system at once, up to
# 32 MiB; what bodies of changing sizes leave behind then stays resident.
ENV MALLOC_MMAP_THRESHOLD_=131072
# A number, so that Kubernetes can tell that it is not root.
USER 65532:65532
# The cache's port and that of probes and metrics. Both listen on loopback unless
# SPLITCACHE_LISTEN and SPLITCACHE_HTTP say otherwise.
EXPOSE 50051 9464
# Asks /readyz at SPLITCACHE_HEALTH_LISTEN, else at SPLITCACHE_HTTP, else at 127.0.0.1:9464. Where flags or a
# file set these, or a client certificate is required, run with --no-healthcheck or a --health-cmd. The same
# holds for SPLITCACHE_HTTP=off without SPLITCACHE_HEALTH_LISTEN: nothing answers then.
HEALTHCHECK --interval=30s --timeout=3s --start-period=10s \
  CMD ["/nodejs/bin/node", "/app/healthcheck.mjs"]
# The heap may take half of the container's memory; bodies lie outside of it.
ENTRYPOINT ["/nodejs/bin/node", "--max-old-space-size-percentage=50", "--max-semi-space-size=2", "--enable-source-maps", "/app/dist/main.js"]
CMD ["serve"]
