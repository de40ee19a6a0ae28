import { makeMemoryStore } from "../support/store/store-harness.js";
import { describeInProcess } from "./in-process.js";
import { describeOneSidecar } from "./one-sidecar.js";
import { describeStore } from "./store-contract.js";

describeStore("memory", makeMemoryStore);
describeOneSidecar(makeMemoryStore);
describeInProcess(makeMemoryStore);
