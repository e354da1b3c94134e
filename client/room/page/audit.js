// The audit log, for an auditor: whether it is whole, its lines in words, how much was read.

import { post } from "/page/api.js";
import { row } from "/page/admin.js";
import { byId, trouble } from "/page/room.js";

let oldest = 0;

async function lines(before) {
  return post("/api/audit", { day: byId("audit-day").value, kind: byId("audit-kind").value, before });
}

function rows(told) {
  oldest = told.lines.length ? told.lines[told.lines.length - 1].line : 0;
  byId("audit-older").hidden = oldest <= 1 || told.lines.length < 200;
  return told.lines.map((line) => row([line.line, line.at.slice(0, 19).replace("T", " "), line.words]));
}

export async function inspect() {
  const told = await lines(0);
  byId("audit-chain").textContent = `${told.chain.words.join(". ")}.`;
  byId("audit-chain").className = told.chain.whole ? "good" : "bad";
  byId("audit-read").replaceChildren(...told.read.map((r) => row([r.study, r.cycle + 1, r.readings, r.minutes])));
  byId("audit-lines").replaceChildren(...rows(told));
}

byId("audit-which").addEventListener("submit", (event) => event.preventDefault());
byId("audit-which").addEventListener("change", () => inspect().catch(trouble));
byId("audit-older").addEventListener("click", () => {
  lines(oldest).then((told) => byId("audit-lines").append(...rows(told))).catch(trouble);
});
