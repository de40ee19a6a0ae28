import { makeMemoryStore } from "../support/store-harness.js";
import { describeStore } from "./store-contract.js";

describeStore("memory", makeMemoryStore);
