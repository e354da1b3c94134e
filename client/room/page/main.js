// The reading room: sign in, read a case, say what it is, read the next.

import { supervise } from "/page/admin.js";
import { Refused, farewell, get, post } from "/page/api.js";
import { inspect } from "/page/audit.js";
import { deliver, following } from "/page/desk.js";
import { chosen } from "/page/drafts.js";
import { listen } from "/page/keys.js";
import { element } from "/page/labels.js";
import { byId, look, room, say, trouble } from "/page/room.js";
import "/page/agreement.js";
import "/page/second.js";

const RENEW = 30_000; // ms between two renewals of the case on the screen
const AWAY = 600_000; // ms without anybody after which it goes back to the queue
const LOOK = 15_000; // ms between two looks at an empty queue

async function enter(me) {
  const same = room.me && room.me.name === me.name;
  room.me = me;
  byId("site").textContent = me.site;
  byId("person").textContent = me.name;
  byId("password").value = "";
  if (!same) {
    room.unsaved = room.last = null;
    room.shelf.forget();
  }
  if (me.role === "admin") {
    await supervise();
    look("admin");
    return;
  }
  if (me.role === "auditor") {
    await inspect();
    look("audit");
    return;
  }
  if (!me.studies.length) {
    byId("empty-words").textContent = "No study runs here yet.";
    byId("empty-undo").hidden = true;
    look("empty");
    return;
  }
  byId("study-label").hidden = me.studies.length < 2;
  byId("study").replaceChildren(...me.studies.map((study) => {
    const option = element("option", study.name);
    option.value = study.identity;
    return option;
  }));
  const before = room.study && me.studies.find((s) => s.identity === room.study.identity);
  await choose(before || me.studies.find((s) => s.open) || me.studies[0]);
}

async function choose(study) {
  room.study = study;
  byId("study").value = study.identity;
  room.labels.study(study, room.me.reasons);
  for (const part of document.querySelectorAll(".second-look")) part.hidden = !room.second.allowed;
  if (room.unsaved && room.unsaved.study === study.identity) await deliver();
  else await following();
}

async function tend() {
  if (room.busy || document.hidden) return;
  try {
    if (room.view === "empty" && room.study) await following();
    else if (room.view === "empty") await enter(await get("/api/me")); // until a study runs here
    else if (room.view === "admin") await supervise();
  } catch (error) {
    await trouble(error);
  }
}

async function renew() {
  if (room.view !== "desk" || room.busy || room.practice || room.clock.idle > AWAY) return;
  try {
    const { held } = await post("/api/renew");
    if (!held && !room.busy && room.view === "desk" && !room.second.on) {
      const before = room.offer.case.position;
      await following();
      if (room.offer.case && room.offer.case.position !== before) say("The case went back to the queue while nobody was here; this is the next.");
    }
  } catch (error) {
    if (error instanceof Refused) await trouble(error);
  }
}

byId("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  byId("door-words").textContent = "";
  try {
    await enter(await post("/api/sign-in", { name: byId("name").value.trim(), password: byId("password").value }));
  } catch (error) {
    byId("door-words").textContent = error instanceof Refused ? `${error.message}.` : "The room does not answer just now.";
  }
});
byId("sign-out").addEventListener("click", async () => {
  await post("/api/leave").catch(() => {});
  await post("/api/sign-out").catch(() => {});
  location.reload(); // nothing of the session stays in memory
});
byId("study").addEventListener("change", (event) => {
  event.target.blur(); // keys are the case's again
  choose(room.me.studies.find((s) => s.identity === event.target.value)).catch(trouble);
});
byId("light").addEventListener("click", (event) => {
  const light = document.documentElement.classList.toggle("light");
  event.target.setAttribute("aria-pressed", String(light));
});
byId("keys").addEventListener("click", () => byId("help").showModal());
byId("undo").addEventListener("click", () => room.undo());
byId("empty-undo").addEventListener("click", () => room.undo());
byId("tools").addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  if (!button) return;
  const acts = { invert: room.invert, in: () => room.viewer.scale(1.25), out: () => room.viewer.scale(0.8), reset: () => room.viewer.reset() };
  acts[button.dataset.do]();
});
document.addEventListener("visibilitychange", () => {
  room.clock.hide(document.hidden);
  if (!document.hidden) renew();
});
document.addEventListener("pointerdown", () => room.clock.touch());
window.addEventListener("pagehide", () => { if (room.view === "desk") farewell("/api/leave", { draft: chosen() }); });
window.addEventListener("beforeunload", (event) => { if (room.unsaved) event.preventDefault(); });
document.addEventListener("second-closed", () => { if (room.view === "desk") renew(); });
setInterval(renew, RENEW);
setInterval(tend, LOOK);
listen(room);

get("/api/me").then(enter).catch((error) => {
  if (!(error instanceof Refused && error.status === 401)) byId("door-words").textContent = "The room does not answer just now.";
  look("door");
});
