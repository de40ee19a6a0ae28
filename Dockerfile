# Builds from the lock file; the generated code is committed, so no generator runs.
FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY src src
# `npm run build` would leave what a next build needs.
RUN npx tsc -p tsconfig.build.json
RUN npm prune --omit=dev --ignore-scripts --no-audit --no-fund

# No shell, no package manager; nothing is written, so the root file system may be read-only.
FROM gcr.io/distroless/nodejs24-debian12:nonroot
LABEL org.opencontainers.image.title="splitcache" \
      org.opencontainers.image.description="Caches Matrix events for homeservers" \
      org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /app
COPY --from=build /app/package.json ./
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
# Asks at SPLITCACHE_ADDRESS, else at the first of SPLITCACHE_LISTEN, else at 127.0.0.1:50051.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
  CMD ["/nodejs/bin/node", "/app/dist/main.js", "health"]
# The heap may take half of the container's memory; bodies lie outside of it.
ENTRYPOINT ["/nodejs/bin/node", "--max-old-space-size-percentage=50", "--max-semi-space-size=2", "--enable-source-maps", "/app/dist/main.js"]
CMD ["serve"]
