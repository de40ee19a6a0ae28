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

const tokenOf = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

it.each([
  ["no JSON", "AAAA"],
  ["no list", tokenOf("a")],
  ["too many parts", tokenOf(["a", "b"])],
  ["a part that is no text", tokenOf([1])],
  ["a part that names nothing", tokenOf(["aa"])],
])("refuses a token with %s", (_what, token) => {
  expect(() => read(token)).toThrow("page_token must be the next_page_token of a reply to this call");
});
