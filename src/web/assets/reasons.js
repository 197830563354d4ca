// What the daemon says of cells, cases and doses, in the language of the page: by the codes beside its own words.

import { LANGUAGE, said } from "./words.js";

/** A finding. */
export function findingWords(f) {
  const copies = f.chromosomes.length;
  if (f.class && ["gain", "loss"].includes(f.kind) && !"XY".includes(f.class)) return said(`finding_${f.kind}`, { class: f.class, copies }, f.text);
  if (f.class && ["gain", "loss"].includes(f.kind)) return said("finding_sex", { iscn: f.iscn }, f.text);
  return f.text;
}

/** Why the verdict over a cell is what it is. */
export function reasonWords({ karyotype }) {
  const { reason_code: code, reason_values: values = {} } = karyotype;
  if (LANGUAGE === "en" || !code) return karyotype.reason;
  const named = karyotype.findings.filter((f) => f.posterior >= 0.5).map(findingWords).join("; ");
  return said(code, { ...values, findings: named || karyotype.reason }, karyotype.reason);
}

/** Why a person should look at a cell. */
export const askedWords = ({ reason, reason_code: code, reason_values: values }) => said(code, values, reason);

/** What a person should know of a dose. */
export const flagWords = (dose) => dose.flags.map((text, i) => said(dose.flag_codes?.[i]?.code, dose.flag_codes?.[i]?.values, text));
