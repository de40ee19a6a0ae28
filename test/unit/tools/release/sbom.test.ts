import { describe, expect, it } from "vitest";
import { reproducibleBom, withoutDevelopment } from "../../../../tools/release/sbom.js";

describe("the bill of materials", () => {
  it("is made of files without the packages of development", () => {
    const manifest = { name: "a", dependencies: { b: "1" }, devDependencies: { c: "1" } };
    expect(JSON.parse(withoutDevelopment(JSON.stringify(manifest)))).toEqual({
      name: "a",
      dependencies: { b: "1" },
    });
    const lock = {
      packages: { "": manifest, "node_modules/b": { version: "1" }, "node_modules/c": { dev: true } },
    };
    expect(JSON.parse(withoutDevelopment(JSON.stringify(lock)))).toEqual({
      packages: { "": { name: "a", dependencies: { b: "1" } }, "node_modules/b": { version: "1" } },
    });
  });

  it("has the commit's time, and a serial number that follows from its content", () => {
    const bomOf = (name: string, serialNumber: string, timestamp: string) =>
      JSON.parse(
        reproducibleBom(JSON.stringify({ serialNumber, metadata: { timestamp }, name }), 86_400),
      ) as {
        serialNumber: string;
      };
    const bom = bomOf("a", "urn:uuid:1", "2026-01-01T00:00:00Z");
    expect(bom).toMatchObject({ metadata: { timestamp: "1970-01-02T00:00:00.000Z" }, name: "a" });
    expect(bom.serialNumber).toMatch(
      /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    );
    expect(bomOf("a", "urn:uuid:2", "2027-01-01T00:00:00Z")).toEqual(bom);
    expect(bomOf("b", "urn:uuid:1", "2026-01-01T00:00:00Z").serialNumber).not.toBe(bom.serialNumber);
  });
});
