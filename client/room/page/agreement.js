// How far readers agree, for the room's admin: about labels and definitions, no ranking of people.

import { get } from "/page/api.js";
import { row } from "/page/admin.js";
import { element } from "/page/labels.js";
import { byId, trouble } from "/page/room.js";

const NAMES = ["percent", "kappa", "fleiss", "alpha", "ac1"];

function said(measure) {
  if (!measure) return null;
  if (measure.value === null) return "not defined";
  const value = measure.value.toFixed(2);
  return measure.low === null ? value : `${value} (${measure.low.toFixed(2)} to ${measure.high.toFixed(2)})`;
}

function line(found, again) {
  const who = again ? `${found.readers[0]}, cases that came back` : found.readers.join(" and ") || "all together";
  const cases = found.few ? `${found.cases}, few` : found.cases;
  return row([who, found.question || "class", cases, ...NAMES.map((name) => said(found.measures[name]))]);
}

function confusion(told) {
  const rows = told.share.map((shares, i) => {
    const answers = shares.flatMap((share, j) => (share >= 0.005 ? [`${told.names[j]} ${Math.round(share * 100)} %`] : []));
    return `${told.names[i]}: ${answers.join(", ")}`;
  });
  return row([told.reader, told.question || "class", rows.join("; ")]);
}

async function fill() {
  byId("agreement-words").textContent = "Counting …";
  const told = await get("/api/agreement");
  byId("agreement-words").textContent = told.studies.length
    ? "Numbers in brackets are 95 % intervals. Nothing of this leaves the site."
    : "Fewer than five cases were read twice yet.";
  byId("agreement-parts").replaceChildren(...told.studies.flatMap((study) => [
    element("h3", `${study.name}: ${study.double} cases with two answers or more`), ...tables(study),
  ]));
}

function table(heads, lines) {
  const made = element("table");
  const top = element("tr");
  top.append(...heads.map((head) => element("th", head)));
  made.append(top, ...lines);
  return made;
}

function tables(study) {
  const lines = [...study.between, ...study.pairs].map((found) => line(found, false));
  lines.push(...study.own.map((found) => line(found, true)));
  const heads = ["Who", "Question", "Cases", "Agree", "Cohen's kappa", "Fleiss' kappa", "Alpha", "AC1"];
  const made = [table(heads, lines)];
  if (study.confusions.length) {
    made.push(element("p", "How each reader answers where a class is true, as Dawid and Skene's model has it:", "note"));
    made.push(table(["Reader", "Question", "Answers by what is true"], study.confusions.map(confusion)));
  }
  return made;
}

byId("agreement").addEventListener("toggle", () => {
  if (byId("agreement").open) fill().catch(trouble);
});
