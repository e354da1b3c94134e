// What is chosen and not sent yet: kept at the site, never in this browser, and no answer.

import { post } from "/page/api.js";
import { byId, room } from "/page/room.js";

const CALM = 700; // ms without a change after which it is kept

let waiting = 0;
let kept = ""; // what the site has of the case on the screen

// What is to be kept now; null where no case is on the screen or its answer is on its way.
export function chosen() {
  const open = room.view === "desk" && !room.busy && !room.unsaved && room.offer && room.offer.case;
  return open ? current() : null;
}

function current() {
  const { study, offer, labels } = room;
  const value = labels.classes.map((_, i) => (labels.chosen.has(i) ? 1 : 0));
  return {
    study: study.identity, cycle: offer.cycle, position: offer.case.position,
    value, confidence: labels.confidence, comment: byId("comment").value.trim(),
  };
}

// The case comes to the screen with what its reader had chosen before.
export function restore(draft) {
  clearTimeout(waiting);
  if (draft) {
    room.labels.chosen = new Set(draft.value.flatMap((one, i) => (one ? [i] : [])));
    room.labels.mark();
    room.labels.trust(draft.confidence);
    byId("comment").value = draft.comment;
  }
  kept = JSON.stringify(current());
}

function keep() {
  const draft = chosen();
  const words = JSON.stringify(draft);
  if (!draft || words === kept) return;
  post("/api/draft", draft).then(() => { kept = words; }).catch(() => {}); // the next change tries again
}

function later() {
  clearTimeout(waiting);
  waiting = setTimeout(keep, CALM);
}

for (const kind of ["input", "click", "keyup"]) byId("answers").addEventListener(kind, later);
document.addEventListener("keyup", later);
document.addEventListener("visibilitychange", () => { if (document.hidden) keep(); });
