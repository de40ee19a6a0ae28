import type { Epoch } from "../../../core/model/types.js";

/** An epoch as the tables keep it. */
export function bytesOf(epoch: Epoch): Buffer {
  return Buffer.from(epoch, "hex");
}

export function epochOf(bytes: Buffer): Epoch {
  return bytes.toString("hex") as Epoch;
}
