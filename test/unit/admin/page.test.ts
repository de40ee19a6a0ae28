import { expect, it } from "vitest";
import { cutPage, pageOf, takeAfter } from "../../../src/admin/page.js";
import { checked } from "../../../src/rpc/convert/request-check.js";

const isLetter = ([letter = ""]: readonly string[]) => /^[a-z]$/.test(letter);
const read = (pageToken: string, pageSize = 2) =>
  checked(undefined, (check) => pageOf(check, { pageSize, pageToken }, 1, isLetter));

it("cuts a list into pages whose tokens lead from one to the next", () => {
  const letters = ["a", "b", "c"];
  const first = cutPage(read(""), letters, (letter) => [letter]);
  expect(first.items).toEqual(["a", "b"]);
  const page = read(first.nextPageToken);
  expect(page.after).toEqual(["b"]);
  const rest = takeAfter(page, letters, (letter) => letter <= "b");
  expect(cutPage(page, rest, (letter) => [letter])).toEqual({ items: ["c"], nextPageToken: "" });
});

it("takes one more than fits and looks no further", () => {
  let looked = 0;
  function* endless() {
    for (;;) yield ++looked;
  }
  expect(takeAfter(read(""), endless(), (number) => number <= 5)).toEqual([6, 7, 8]);
  expect(looked).toBe(8);
});

it("has a page size if none is given", () => {
  expect(read("", 0).size).toBe(100);
});

it("makes short enough tokens from the longest names, with any characters", () => {
  const name = "\x01".repeat(255);
  const { nextPageToken } = cutPage({ size: 1, after: undefined }, ["a", "b"], () => [name, name]);
  const request = { pageSize: 1, pageToken: nextPageToken };
  expect(checked(undefined, (check) => pageOf(check, request, 2)).after).toEqual([name, name]);
});

const tokenOf = (...parts: (string | Buffer)[]) =>
  parts.map((part) => Buffer.from(part).toString("base64url")).join(".");

it.each([
  ["characters that are not of base64url", "="],
  ["bytes that are no UTF-8", tokenOf(Buffer.from([0xff]))],
  ["too many parts", tokenOf("a", "b")],
  ["a part that names nothing", tokenOf("aa")],
])("refuses a token with %s", (_what, token) => {
  expect(() => read(token)).toThrow("page_token must be the next_page_token of a reply to this call");
});
