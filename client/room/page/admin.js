// How far the room is, for its admin.

import { get } from "/page/api.js";
import { element } from "/page/labels.js";

export function row(cells) {
  const line = element("tr");
  line.append(...cells.map((cell) => element("td", String(cell ?? "–"))));
  return line;
}

export async function supervise() {
  const told = await get("/api/overview");
  document.getElementById("admin-studies").replaceChildren(...told.studies.map((s) => row([
    s.name, s.cycle === null ? "none open" : s.cycle + 1,
    s.granted === undefined ? null : `${s.granted} ${s.unit}`, s.spent, s.readings, s.waiting,
  ])));
  document.getElementById("admin-accounts").replaceChildren(...told.accounts.map((a) => row([a.name, a.role])));
}
