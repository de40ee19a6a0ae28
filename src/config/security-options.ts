import { optionTexts } from "./option-text.js";
import { boolean, filePath } from "./values.js";

/** The options of TLS and of authentication. */
export const securityOptions = {
  tlsCertFile: filePath().optional().register(optionTexts, {
    name: "tls-cert-file",
    placeholder: "<path>",
    description:
      "File with the server certificate and its chain, in PEM: every TCP listener except --health-listen then requires TLS",
    defaults: [],
  }),
  tlsKeyFile: filePath().optional().register(optionTexts, {
    name: "tls-key-file",
    placeholder: "<path>",
    description: "File with the private key of the server certificate, in PEM, without a passphrase",
    defaults: [],
  }),
  tlsClientCaFile: filePath().optional().register(optionTexts, {
    name: "tls-client-ca-file",
    placeholder: "<path>",
    description:
      "File with the certificates, in PEM, of the authorities that are trusted for client certificates. Without --auth-file every client must present a certificate, and each may do everything",
    defaults: [],
  }),
  authFile: filePath().optional().register(optionTexts, {
    name: "auth-file",
    placeholder: "<path>",
    description:
      "YAML file with the clients, their credentials, roles and homeservers; every call then requires credentials",
    defaults: [],
  }),
  insecure: boolean().register(optionTexts, {
    name: "insecure",
    placeholder: "",
    description: "Lets --listen serve other machines without authentication",
    defaults: ["false"],
  }),
};
