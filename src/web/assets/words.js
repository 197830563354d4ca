// Words in the language of the page, and numbers and times in its form. The catalogue comes from the daemon.

import { LANGUAGE, LANGUAGES, TEXTS } from "./texts.js";
import { byId } from "./elements.js";

export { LANGUAGE } from "./texts.js";

/** Of numbers and times: the browser's own where it speaks the page's language. */
export const LOCALE = navigator.languages.find((tag) => tag.split("-")[0] === LANGUAGE) ?? LANGUAGE;

const PLACE = /\{(\w+)\}/;

/** The words of a code; {name} stands for a value. */
export function t(code, values = {}) {
  return tt(code, values).join("");
}

/** The same in pieces, where values are elements. */
export function tt(code, values = {}) {
  const text = TEXTS[code];
  if (text === undefined) console.error(`no words for ${code}`);
  return (text ?? code).split(PLACE).map((piece, i) => (i % 2 === 0 ? piece : values[piece] ?? ""));
}

/** A number with its noun: "1 cell", "2 cells". */
export const tn = (code, n) => t(`${code}.${n === 1 ? "one" : "other"}`, { n: count(n) });

/** The words of a code, or what the daemon calls it where there are none. */
export const known = (code, otherwise) => (code in TEXTS ? t(code) : otherwise);

/** What the daemon says, by its code; in English, and without one, in its own words. */
export const said = (code, values, words) => (LANGUAGE !== "en" && code && `said.${code}` in TEXTS ? t(`said.${code}`, values) : words);

const counting = new Intl.NumberFormat(LOCALE);
/** 1234 as "1,234". */
export const count = (n) => counting.format(n ?? 0);
/** A number with as many decimals as it has. */
export const number = (n) => new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 6 }).format(n);
/** A number with just so many decimals. */
export const fixed = (n, digits) => new Intl.NumberFormat(LOCALE, { minimumFractionDigits: digits, maximumFractionDigits: digits, useGrouping: false }).format(n);
/** Day and time. */
export const when = (time) => new Date(time).toLocaleString(LOCALE);
/** The day alone. */
export const day = (time) => new Date(time).toLocaleDateString(LOCALE, { dateStyle: "medium" });

// The switch: the choice is kept in a cookie, since the daemon writes the page.
const choose = byId("language");
if (choose && Object.keys(LANGUAGES).length > 1) {
  for (const [tag, name] of Object.entries(LANGUAGES)) choose.add(new Option(name, tag, false, tag === LANGUAGE));
  choose.addEventListener("change", () => {
    document.cookie = `metaphased-language=${choose.value}; path=${new URL("./", location.href).pathname}; max-age=31536000; samesite=strict`;
    location.reload();
  });
  byId("language-label").hidden = false;
}
