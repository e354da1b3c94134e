// The reading room: sign in, read a case, say what it is, read the next.

import { supervise } from "/page/admin.js";
import { Refused, farewell, get, post, submissionKey } from "/page/api.js";
import { Clock } from "/page/clock.js";
import { listen } from "/page/keys.js";
import { Labels, element } from "/page/labels.js";
import { Shelf } from "/page/shelf.js";
import { Viewer } from "/page/viewer.js";

const RENEW = 30_000; // ms between two renewals of the case on the screen
const AWAY = 600_000; // ms without anybody after which it goes back to the queue
const LOOK = 15_000; // ms between two looks at an empty queue
const AGAIN = 2_000; // ms before an answer that was not saved is sent again

const byId = (id) => document.getElementById(id);
const pause = (time) => new Promise((done) => setTimeout(done, time));

const room = {
  view: "waiting", busy: false, me: null, study: null, offer: null, image: null, unsaved: null,
  clock: new Clock(), shelf: new Shelf(),
  viewer: new Viewer(byId("canvas"), painted),
  labels: new Labels((answer, value, reason) => room.send(answer, value, reason)),

  async send(answer, value = [], reason = "") {
    if (room.busy || !room.image) return;
    room.unsaved = {
      study: room.study.identity, cycle: room.offer.cycle, position: room.offer.case.position,
      submission: submissionKey(), answer, value, reason, seconds: room.clock.seconds,
      confidence: room.labels.confidence, comment: byId("comment").value.trim(),
    };
    await deliver();
  },

  async undo() {
    if (room.busy || !room.study) return;
    hold(true);
    try {
      const offer = await post("/api/undo", { study: room.study.identity });
      say("Taken back: the case is here again.", "good");
      await present(offer);
    } catch (error) {
      await trouble(error);
    } finally {
      hold(false);
    }
  },

  invert() {
    room.viewer.invert();
    document.querySelector('[data-do="invert"]').setAttribute("aria-pressed", String(room.viewer.inverted));
  },

  async step(by) {
    const image = room.image;
    if (!image || image.header.slices < 2) return;
    const number = Math.min(Math.max(room.viewer.number + by, 0), image.header.slices - 1);
    room.viewer.number = number; // so that quick steps add up
    try {
      await room.shelf.slice(image, number);
      if (room.image === image && room.viewer.number === number) room.viewer.show(number);
    } catch (error) {
      await trouble(error);
    }
  },
};

// ---- answers

// Until the room says that it is on the disk, nothing says "saved"; sent again, it is the same answer.
async function deliver() {
  hold(true);
  say("Saving …");
  try {
    const offer = await kept();
    await present(offer || (await post("/api/next", { study: room.study.identity })));
  } catch (error) {
    await trouble(error);
  } finally {
    hold(false);
  }
}

// What comes after the unsaved answer, once it was saved; null where it was refused for good.
async function kept() {
  for (;;) {
    try {
      const offer = await post("/api/answer", room.unsaved);
      room.unsaved = null;
      say("Saved.", "good");
      return offer;
    } catch (error) {
      if (error instanceof Refused && error.status === 401) throw error;
      if (error instanceof Refused && error.status < 500) {
        room.unsaved = null;
        say(`Not kept: ${error.message}.`, "bad");
        return null;
      }
      say("Not saved yet; trying again. Please leave this page open.", "bad");
      await pause(AGAIN);
    }
  }
}

async function following() {
  await present(await post("/api/next", { study: room.study.identity }));
}

async function present(offer) {
  room.offer = offer;
  const labels = offer.today === 1 ? "1 label" : `${offer.today} labels`;
  byId("today").textContent = `${labels} today`;
  if (!offer.case) {
    room.image = null;
    room.viewer.clear();
    byId("empty-title").textContent = offer.why.split(":")[0].replace(/\.$/, "");
    byId("empty-words").textContent = offer.why.includes(":") ? offer.why.split(":")[1].trim() : "This page looks again by itself.";
    byId("empty-today").textContent = `${labels} came from you today.`;
    byId("empty-undo").hidden = !offer.today;
    look("empty");
    return;
  }
  const place = placeOf(offer.case.position);
  look("desk");
  room.labels.begin(offer.case.adjudicating, offer.case.readings);
  room.image = null;
  byId("loading").textContent = "";
  const slow = setTimeout(() => { byId("loading").textContent = "The image is on its way …"; room.viewer.clear(); }, 150);
  try {
    const image = await room.shelf.show(place);
    if (room.offer !== offer) return;
    room.image = image;
    room.viewer.set(image);
    edges(image.header.directions);
    presets();
    room.clock.start();
    room.shelf.ahead(offer.ahead.map(placeOf));
    room.shelf.fill(image);
  } catch (error) {
    if (error instanceof Refused && error.status === 410) say("Its image cannot be had. Press x, and say why.", "bad");
    else throw error;
    room.image = { place, header: { slices: 1 }, slices: new Map() }; // it can be answered as not readable
  } finally {
    clearTimeout(slow);
    byId("loading").textContent = "";
  }
}

function placeOf(position) {
  return { study: room.study.identity, cycle: room.offer.cycle, position };
}

// ---- what is on the page

function look(view) {
  const before = room.view;
  room.view = view;
  document.body.dataset.view = view;
  if (view === "desk" && before !== "desk") byId("canvas").focus({ preventScroll: true });
  if (view === "door") byId(byId("name").value ? "password" : "name").focus();
}

function say(words, kind = "") {
  byId("state").textContent = words;
  byId("state").className = kind;
}

function hold(busy) {
  room.busy = busy;
  room.labels.lock(busy);
}

function painted() {
  byId("readout").textContent = room.viewer.readout;
  document.querySelector('[data-do="invert"]').setAttribute("aria-pressed", String(Boolean(room.viewer.inverted)));
  for (const [i, button] of [...byId("presets").children].entries()) {
    button.setAttribute("aria-pressed", String(room.viewer.presets[i].name === room.viewer.named));
  }
  if (room.image) performance.mark("painted");
}

function presets() {
  byId("presets").replaceChildren(...room.viewer.presets.slice(0, 9).map((preset, i) => {
    const button = element("button", `${preset.name} `);
    button.type = "button";
    button.append(element("kbd", `Shift ${i + 1}`));
    button.addEventListener("click", () => room.viewer.preset(i));
    return button;
  }));
  room.viewer.draw();
}

function edges([left, right, top, bottom]) {
  Object.entries({ left, right, top, bottom }).forEach(([side, letter]) => {
    byId(`edge-${side}`).textContent = letter;
  });
}

async function trouble(error) {
  if (error instanceof Refused && error.status === 401) {
    byId("door-words").textContent = room.unsaved ? "Please sign in again: your last answer waits to be saved." : "";
    look("door");
    return;
  }
  say(error instanceof Refused ? `${error.message}.` : "The room does not answer just now.", "bad");
}

// ---- coming and going

async function enter(me) {
  const same = room.me && room.me.name === me.name;
  room.me = me;
  byId("site").textContent = me.site;
  byId("person").textContent = me.name;
  byId("password").value = "";
  if (!same) {
    room.unsaved = null;
    room.shelf.forget();
  }
  if (me.role === "admin") {
    await supervise();
    look("admin");
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
  if (room.unsaved && room.unsaved.study === study.identity) await deliver();
  else await following();
}

async function tend() {
  if (room.busy || document.hidden) return;
  try {
    if (room.view === "empty" && room.study) await following();
    else if (room.view === "admin") await supervise();
  } catch (error) {
    await trouble(error);
  }
}

async function renew() {
  if (room.view !== "desk" || room.busy || room.clock.idle > AWAY) return;
  try {
    const { held } = await post("/api/renew");
    if (!held && !room.busy && room.view === "desk") {
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
window.addEventListener("pagehide", () => { if (room.view === "desk") farewell("/api/leave"); });
window.addEventListener("beforeunload", (event) => { if (room.unsaved) event.preventDefault(); });
setInterval(renew, RENEW);
setInterval(tend, LOOK);
listen(room);

get("/api/me").then(enter).catch((error) => {
  if (!(error instanceof Refused && error.status === 401)) byId("door-words").textContent = "The room does not answer just now.";
  look("door");
});
