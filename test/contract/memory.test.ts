import { makeMemoryStore } from "../support/store-harness.js";
import { describeInProcess } from "./in-process.js";
import { describeStore } from "./store-contract.js";

describeStore("memory", makeMemoryStore);
describeInProcess(makeMemoryStore);
