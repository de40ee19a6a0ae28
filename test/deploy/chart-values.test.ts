import { describe, expect, it } from "vitest";
import { hasHelm, helm, ofKind, parseManifests, render, sidecarOf } from "./chart.js";

describe.skipIf(!hasHelm)("values of the chart", () => {
  const INSECURE = "config.insecure=true";
  const POSTGRES = "config.log=postgres://u@h:5432/d";
  const SIDECAR = ["mode=sidecar", POSTGRES];
  const POD_MONITOR = ["metrics.podMonitor.enabled=true", "metrics.podMonitor.selector.matchLabels.a=b"];
  const fileOf = (key: string) => [`secretFiles.${key}.secretName=a`, `secretFiles.${key}.key=b`];
  const AUTH = fileOf("auth_file");
  const TLS = [...fileOf("tls_cert_file"), ...fileOf("tls_key_file")];
  const ISSUER = "tls.certManager.issuerRef.name=ca";
  const CERT_MANAGER = ["tls.certManager.enabled=true", ISSUER];
  const MONITOR = "metrics.serviceMonitor.enabled=true";
  const authorizationOf = (monitor: string) => [
    `metrics.${monitor}.authorization.credentials.name=a`,
    `metrics.${monitor}.authorization.credentials.key=b`,
  ];
  it.each([
    // What the schema refuses.
    [["config.lissen=x"], /config.*lissen|lissen.*config/],
    [["config.memory=268435456"], /config.*memory/],
    [["config.calls_in_flight_max=0"], /config.*calls_in_flight_max/],
    [["secretFiles.listen.secretName=x"], /secretFiles.*listen|listen.*secretFiles/],
    [["secretFiles.log_password_file.secretName=x"], /secretFiles.*log_password_file/],
    [["mode=daemon"], /mode/],
    [["replica=2"], /replica/],
    [["replicas=0"], /replicas/],
    [["sidecar.socketMode=660"], /sidecar.*socketMode/],
    // What contradicts something else.
    [["replicas=2"], /replicas: more than 1 requires config\.log/],
    [["config.listen=127.0.0.1:1"], /config\.listen: is set by the chart/],
    [["config.http=off"], /config\.http: is set by the chart/],
    [["config.health_listen=127.0.0.1:1"], /config\.health_listen: is set by the chart/],
    [
      ["mode=sidecar", "sidecar.singlePod=true", "config.socket_mode=0600"],
      /config\.socket_mode: is set by the chart/,
    ],
    [
      [
        "config.tier_key_file=/k",
        "secretFiles.tier_key_file.secretName=a",
        "secretFiles.tier_key_file.key=b",
      ],
      /config\.tier_key_file: is also set by secretFiles\.tier_key_file/,
    ],
    [["config.log=postgres://u:secret@h:5432/d"], /config\.log: must not contain a password/],
    [["config.log=Postgres://u:secret@h:5432/d"], /config\.log: must not contain a password/],
    [["config.log=postgres://u:s3/cret@h:5432/d"], /config\.log: must not contain a password/],
    [["config.log=postgres://u@h:5432/d?a=b&Password=s3cret"], /config\.log: must not contain a password/],
    [["config.tier=redis://u:secret@h:1"], /config\.tier: must not contain a user or a password/],
    [["config.tier=redis-cluster://secret@h:1"], /config\.tier: must not contain a user or a password/],
    [["config.tier=Rediss://h:1?password=s3cret"], /config\.tier: must not contain a user or a password/],
    [["mode=sidecar"], /config\.log: mode sidecar requires/],
    [[], /secretFiles\.auth_file: is required by mode service/],
    [["config.tier=redis://h:1"], /config\.tier: requires config\.log/],
    [[POSTGRES, "config.tier=redis://h:1"], /secretFiles\.tier_key_file: is required by config\.tier/],
    [
      ["config.shutdown_timeout=30s"],
      /terminationGracePeriodSeconds: must exceed config\.shutdown_timeout \(30s\)/,
    ],
    [["config.shutdown_timeout=0.5m"], /terminationGracePeriodSeconds: must exceed/],
    [["terminationGracePeriodSeconds=10"], /terminationGracePeriodSeconds: must exceed/],
    [
      [INSECURE, POSTGRES, "terminationGracePeriodSeconds=15"],
      /terminationGracePeriodSeconds: must exceed preStopSleepSeconds \(5\) and config\.shutdown_timeout \(10s\) tog/,
    ],
    [["preStopSleepSeconds=-1"], /preStopSleepSeconds/],
    [["metrics.podMonitor.enabled=true"], /metrics\.podMonitor\.enabled: is for mode sidecar/],
    [[...SIDECAR, MONITOR], /metrics\.serviceMonitor\.enabled: is for mode service/],
    [[...SIDECAR, "metrics.podMonitor.enabled=true"], /metrics\.podMonitor\.selector: is required/],
    // Who may do what.
    [[INSECURE, ...AUTH], /config\.insecure: remove it/],
    [[INSECURE, "config.auth_file=/etc/auth.yaml"], /config\.insecure: remove it/],
    [[...SIDECAR, INSECURE], /config\.insecure: is for mode service/],
    [
      [INSECURE, "service.type=LoadBalancer"],
      /service\.type: LoadBalancer .* requires secretFiles\.auth_file/,
    ],
    [[...AUTH, "service.type=LoadBalancer"], /service\.type: LoadBalancer .* requires TLS/],
    [[...AUTH, "service.type=NodePort"], /service\.type: NodePort .* requires TLS/],
    [
      [...AUTH, "config.admin_listen=0.0.0.0:50052"],
      /config\.admin_listen: 0\.0\.0\.0:50052 is not a loopback address/,
    ],
    [
      [INSECURE, "config.admin_listen[0]=127.0.0.1:1", "config.admin_listen[1]=127.0.0.1.nip.example:1"],
      /config\.admin_listen: 127\.0\.0\.1\.nip\.example:1 is not/,
    ],
    [[INSECURE, "extraEnv[0].name=SPLITCACHE_HTTP", "extraEnv[0].value=off"], /extraEnv/],
    // TLS.
    [[INSECURE, ...fileOf("tls_cert_file")], /secretFiles\.tls_key_file: is required by tls_cert_file/],
    [[INSECURE, ...fileOf("tls_key_file")], /secretFiles\.tls_cert_file: is required by tls_key_file/],
    [[...fileOf("tls_client_ca_file")], /secretFiles\.tls_client_ca_file: requires tls_cert_file/],
    [[...AUTH, "tls.certManager.enabled=true"], /tls\.certManager\.issuerRef\.name: is required/],
    [[...AUTH, ISSUER], /tls\.certManager\.issuerRef: requires tls\.certManager\.enabled/],
    [[...AUTH, "tls.certManager.dnsNames={a}"], /tls\.certManager\.dnsNames: requires/],
    [[...AUTH, ...CERT_MANAGER, ...TLS], /tls\.certManager\.enabled: sets tls_cert_file; remove it/],
    [
      [...AUTH, ...CERT_MANAGER, "config.tls_key_file=/k"],
      /tls\.certManager\.enabled: sets tls_key_file; remove it/,
    ],
    [[...SIDECAR, ...CERT_MANAGER], /tls\.certManager\.enabled: is for mode service/],
    // Metrics.
    [[...AUTH, MONITOR], /metrics\.serviceMonitor\.authorization: is required, because auth_file/],
    [
      [INSECURE, MONITOR, ...authorizationOf("serviceMonitor")],
      /metrics\.serviceMonitor\.authorization: requires secretFiles\.auth_file/,
    ],
    [
      [INSECURE, MONITOR, "metrics.serviceMonitor.tlsConfig.serverName=x"],
      /metrics\.serviceMonitor\.tlsConfig: requires secretFiles\.tls_cert_file/,
    ],
    [
      [...TLS, ...fileOf("tls_client_ca_file"), MONITOR],
      /metrics\.serviceMonitor\.tlsConfig\.cert: is required/,
    ],
    [
      [...SIDECAR, ...POD_MONITOR, ...AUTH],
      /metrics\.podMonitor\.authorization: is required, because auth_file/,
    ],
    [[...SIDECAR, ...POD_MONITOR, ...TLS], /metrics\.podMonitor\.tlsConfig: is required with TLS/],
    [["metrics.serviceMonitor.authorization.type=Bearer"], /authorization.*credentials/],
  ])("refuses %j with the name of the field", (values, message) => {
    const { code, stderr } = helm("template", ...values.flatMap((value) => ["--set", value]));
    expect(code).not.toBe(0);
    expect(stderr.replaceAll("\n", " ")).toMatch(message);
    expect(stderr).not.toMatch(/secret@|s3/);
  });

  it.each([
    [[INSECURE, "config.shutdown_timeout=29s"]],
    [[INSECURE, "config.shutdown_timeout=500ms", "terminationGracePeriodSeconds=1"]],
    [["mode=sidecar", "sidecar.singlePod=true"]],
    [[INSECURE, POSTGRES, "replicas=2"]],
    [[INSECURE, POSTGRES, "preStopSleepSeconds=0", "terminationGracePeriodSeconds=11"]],
    [[INSECURE, "config.homeserver=one.example"]],
    [[INSECURE, "config.log=postgres://user@h:5432/d?application_name=a@b"]],
    [AUTH],
    [[...AUTH, ...TLS, "service.type=LoadBalancer"]],
    [["config.auth_file=/etc/auth.yaml", "config.tls_cert_file=/c", "config.tls_key_file=/k"]],
    [[INSECURE, "config.admin_listen=127.0.0.1:50052\\,unix:/run/a"]],
    [[INSECURE, "extraEnv[0].name=OTEL_TRACES_EXPORTER", "extraEnv[0].value=otlp"]],
    [[INSECURE, POSTGRES, "config.tier=redis://h:1/0", ...fileOf("tier_key_file")]],
    [[...SIDECAR, ...AUTH]],
    [[...SIDECAR, ...POD_MONITOR, ...AUTH, ...authorizationOf("podMonitor")]],
    [
      [
        ...TLS,
        ...fileOf("tls_client_ca_file"),
        MONITOR,
        "metrics.serviceMonitor.tlsConfig.cert.secret.name=a",
      ],
    ],
  ])("accepts %j", (values) => {
    expect(helm("template", ...values.flatMap((value) => ["--set", value]))).toMatchObject({ code: 0 });
  });

  it.each(["LoadBalancer", "NodePort"])("keeps metrics out of a Service of type %s", (type) => {
    const values = [...AUTH, ...TLS, `service.type=${type}`].flatMap((value) => ["--set", value]);
    const services = parseManifests(render(...values)).filter(({ kind }) => kind === "Service");
    expect(services.map(({ spec }) => [spec.type, ...spec.ports.map(({ name }) => name)])).toEqual([
      [type, "grpc"],
      ["ClusterIP", "http-metrics"],
    ]);
  });

  const sleepWith = (...args: readonly string[]) =>
    sidecarOf(parseManifests(render("--set", INSECURE, ...args))).lifecycle?.preStop.sleep.seconds;

  it("lets a pod serve on while it is removed from the Service, if another can take its clients", () => {
    expect(sleepWith("--set", POSTGRES)).toBe(5);
    expect(sleepWith("--set", POSTGRES, "--set", "preStopSleepSeconds=8")).toBe(8);
    expect(sleepWith("--set", POSTGRES, "--set", "preStopSleepSeconds=0")).toBeUndefined();
    expect(sleepWith()).toBeUndefined();
    expect(sleepWith("--set", POSTGRES, "--kube-version", "1.29.9")).toBeUndefined();
    expect(sleepWith("--set", POSTGRES, "--kube-version", "1.30.0-gke.1")).toBe(5);
  });

  it("opens the port of metrics to the namespace monitoring, to the peers of the values, or to nobody", () => {
    const ingressWith = (...args: readonly string[]) =>
      ofKind(parseManifests(render("--set", INSECURE, ...args)), "NetworkPolicy").spec.ingress;
    const metricsWith = (...args: readonly string[]) =>
      ingressWith(...args).filter(({ ports }) => ports.some(({ port }) => port === "http-metrics"));
    const namespace = { "kubernetes.io/metadata.name": "monitoring" };
    expect(metricsWith().map(({ from }) => from)).toEqual([
      [{ namespaceSelector: { matchLabels: namespace } }],
    ]);
    const peer = "networkPolicy.monitoring[0].podSelector.matchLabels.app=prometheus";
    expect(metricsWith("--set", peer).map(({ from }) => from)).toEqual([
      [{ podSelector: { matchLabels: { app: "prometheus" } } }],
    ]);
    expect(metricsWith("--set-json", "networkPolicy.monitoring=[]")).toEqual([]);
    // Probes come from the node, which no peer names.
    expect(ingressWith().filter(({ from }) => from === undefined)).toEqual([{ ports: [{ port: "health" }] }]);
  });

  it("passes extraEnv to the container", () => {
    const values = [INSECURE, "extraEnv[0].name=OTEL_TRACES_EXPORTER", "extraEnv[0].value=otlp"];
    const manifests = parseManifests(render(...values.flatMap((value) => ["--set", value])));
    expect(sidecarOf(manifests).env).toEqual([{ name: "OTEL_TRACES_EXPORTER", value: "otlp" }]);
  });

  it("keeps large counts as they are written", () => {
    const manifests = parseManifests(render("--set", INSECURE, "--set", "config.subscribers_max=100000"));
    expect(ofKind(manifests, "ConfigMap").data["splitcache.yaml"]).toContain("subscribers_max: 100000\n");
  });
});
