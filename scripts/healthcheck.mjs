// The image's health check: exits with 0 if /readyz answers 200. It takes a sixth of the CPU time of
// `splitcache health`. It knows the sidecar's environment, not its flags and not its configuration file.
import { get } from "node:http";
import { get as getOverTls } from "node:https";

const { SPLITCACHE_HEALTH_LISTEN, SPLITCACHE_HTTP, SPLITCACHE_TLS_CERT_FILE } = process.env;
// --health-listen never uses TLS.
const health = SPLITCACHE_HEALTH_LISTEN?.split(",")[0].trim();
const address = health || SPLITCACHE_HTTP || "127.0.0.1:9464";
const usesTls = !health && Boolean(SPLITCACHE_TLS_CERT_FILE);
const request = usesTls
  ? // The request stays in the container and carries nothing, so the certificate's name does not matter.
    getOverTls(`https://${address}/readyz`, { rejectUnauthorized: false })
  : get(`http://${address}/readyz`);
request.on("response", ({ statusCode }) => process.exit(statusCode === 200 ? 0 : 1));
request.on("error", () => process.exit(1));
