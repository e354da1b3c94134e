// The case on the screen: its image, and what becomes of the answer.

import { Refused, post, submissionKey } from "/page/api.js";
import { restore } from "/page/drafts.js";
import { Labels, element } from "/page/labels.js";
import { practising } from "/page/practice.js";
import { byId, hold, look, renewed, room, say, settle, trouble } from "/page/room.js";
import { Viewer } from "/page/viewer.js";
import { workload } from "/page/work.js";

const AGAIN = 2_000; // ms before an answer that was not saved is sent again

const pause = (time) => new Promise((done) => setTimeout(done, time));

Object.assign(room, {
  viewer: new Viewer(byId("canvas"), painted),
  labels: new Labels((answer, value, reason) => room.send(answer, value, reason), () => room.fresh),

  async send(answer, value = [], reason = "") {
    if (room.busy || !room.image) return;
    if (room.practice) {
      await room.practise(answer, value);
      return;
    }
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
      room.last = null;
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
});

// Until the room says that it is on the disk, nothing says "saved"; sent again, it is the same answer.
export async function deliver() {
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
      const { study, cycle, position } = room.unsaved;
      room.last = { study, cycle, position };
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

export async function following() {
  await present(await post("/api/next", { study: room.study.identity }));
}

export async function present(offer) {
  room.offer = offer;
  byId("why").close(); // it was asked of the case before
  room.second.drop();
  workload(offer.work);
  if (await practising(offer)) return;
  if (!offer.case) {
    room.image = null;
    room.viewer.clear();
    byId("empty-title").textContent = offer.why.split(":")[0].replace(/\.$/, "");
    byId("empty-words").textContent = offer.why.includes(":") ? offer.why.split(":")[1].trim() : "This page looks again by itself.";
    byId("empty-undo").hidden = !offer.work.today.readings;
    look("empty");
    return;
  }
  const place = placeOf(offer.case.position);
  look("desk");
  room.labels.begin(offer.case.adjudicating, offer.case.readings);
  restore(offer.case.draft);
  await bring(offer, place, offer.ahead.map(placeOf));
}

// A case's image to the screen, unless another offer came meanwhile; then those after it.
export async function bring(offer, place, ahead) {
  room.image = null;
  renewed();
  byId("loading").textContent = "";
  const slow = setTimeout(() => { byId("loading").textContent = "The image is on its way …"; room.viewer.clear(); }, 150);
  try {
    const image = await room.shelf.show(place);
    if (room.offer !== offer) return;
    room.second.drop();
    put(image);
    room.clock.start();
    room.shelf.ahead(ahead);
    if (ahead.length) room.shelf.fetch(ahead[0]).then(idly(prepare), () => {}); // a colleague was quicker
    room.shelf.fill(image);
  } catch (error) {
    if (error instanceof Refused && error.status === 410) say("Its image cannot be had. Press x, and say why.", "bad");
    else throw error;
    room.image = { place, header: { slices: 1 }, slices: new Map() }; // it can be answered as not readable
    settle();
  } finally {
    clearTimeout(slow);
    byId("loading").textContent = "";
  }
}

// An image to the screen, as its source would have it.
export function put(image) {
  room.image = image;
  if (!image.slices.size) {
    room.viewer.clear();
    return;
  }
  room.viewer.set(image);
  edges(image.header.directions);
  presets();
}

// While nothing else is to be done, the next case goes through its window: its answer is not waited for.
function idly(act) {
  return (image) => setTimeout(() => requestIdleCallback(() => act(image), { timeout: 500 }), 50);
}

function prepare(image) {
  if (room.image) room.viewer.prepare(image);
}

function placeOf(position) {
  return { study: room.study.identity, cycle: room.offer.cycle, position };
}

function painted() {
  byId("readout").textContent = room.viewer.readout;
  document.querySelector('[data-do="invert"]').setAttribute("aria-pressed", String(Boolean(room.viewer.inverted)));
  for (const [i, button] of [...byId("presets").children].entries()) {
    button.setAttribute("aria-pressed", String(room.viewer.presets[i].name === room.viewer.named));
  }
  if (!room.image) return;
  settle();
  performance.clearMarks("painted"); // one for each frame of a day would be many
  performance.mark("painted");
}

function presets() {
  byId("presets").replaceChildren(...room.viewer.presets.slice(0, 9).map((preset, i) => {
    const button = element("button", `${preset.name} `);
    button.type = "button";
    button.append(element("kbd", `⇧${i + 1}`));
    button.setAttribute("aria-keyshortcuts", `Shift+${i + 1}`);
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
