# syntax=docker/dockerfile:1
# The production image: dist/, production packages and the launcher, run by an unprivileged user.
ARG NODE_VERSION=24

FROM node:${NODE_VERSION}-bookworm-slim AS manifests
WORKDIR /app
# Manifests first: packages are installed again only when one of these changes.
COPY package.json package-lock.json .npmrc ./
COPY shared/package.json shared/
COPY server/sandbox/package.json server/sandbox/
COPY examples/web/package.json examples/web/
COPY tests/contract/openapi/package.json tests/contract/openapi/

FROM manifests AS build
COPY prisma prisma
COPY prisma.config.ts ./
# The postinstall step generates both Prisma clients, offline.
RUN --mount=type=cache,target=/root/.npm npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY shared/src shared/src
COPY server server
RUN npm run build

FROM manifests AS packages
# The frontend's packages are none of the server's. @prisma/client names prisma and typescript as optional peers, so
# npm keeps both, half of the image, though nothing loads them.
RUN --mount=type=cache,target=/root/.npm \
    only="--omit=dev --ignore-scripts --include-workspace-root --workspace=@skywork/shared" && \
    npm ci $only && npm uninstall --no-save $only prisma typescript

FROM node:${NODE_VERSION}-bookworm-slim
ENV NODE_ENV=production \
    HOST=0.0.0.0 \
    PORT=5000
WORKDIR /app
COPY --from=packages /app/package.json ./
COPY --from=packages /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY server/cli/run.mjs server/cli/
# Only an embedded database (DATABASE_URL=file:/app/.data/skywork.db) writes here.
RUN mkdir .data && chown node:node .data
VOLUME /app/.data
USER node
EXPOSE 5000
# Liveness alone: /ready is for the load balancer, and a database that is away is no reason to restart this process. At
# its start it waits a minute for one.
HEALTHCHECK --interval=10s --timeout=3s --start-period=90s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/health`).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# run.mjs is process 1 and sees to SIGTERM and SIGINT, during the start and in commands, too, so no init process is needed.
# Give it SHUTDOWN_DELAY_MS and 15 s to drain.
STOPSIGNAL SIGTERM
# `docker run IMAGE server/cli/run.mjs doctor` (or prisma:migrate, reconcile, stripe:sync) runs a command instead.
ENTRYPOINT ["node"]
# The flags are those of `npm start`: docs/performance.md, "HTTP".
CMD ["--max-semi-space-size=32", "--no-allocation-site-pretenuring", "server/cli/run.mjs", "start"]
