// The second look: what the model says of the case answered last; keep one's answer, or change it.

import { Refused, post, submissionKey } from "/page/api.js";
import { put } from "/page/desk.js";
import { element } from "/page/labels.js";
import { byId, hold, look, renewed, room, say, trouble } from "/page/room.js";

const STRONGEST = 0.62; // opacity of the map's strongest place: what lies under it stays visible

// Which slices of a stack the network sees, as the site makes its pixels: evenly spaced, one for
// each of its channels; of a colour stack the middle one.
export function slicesSeen(count, planes, colour) {
  if (colour) return [Math.floor(count / 2)];
  return Array.from({ length: planes }, (_, i) => Math.floor(((i + 1) * count) / (planes + 1)));
}

function veilOf(opinion, header) {
  const { saliency, rows, columns, planes } = opinion;
  if (!rows) return null;
  const bytes = Uint8Array.from(atob(saliency), (c) => c.charCodeAt(0));
  const canvas = document.createElement("canvas");
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d");
  const frame = context.createImageData(columns, rows);
  bytes.forEach((strength, i) => {
    frame.data.set([255, 176 - Math.round(strength * 0.5), 32, Math.round(strength * STRONGEST)], 4 * i);
  });
  context.putImageData(frame, 0, 0);
  return { canvas, shown: true, slices: slicesSeen(header.slices, planes, header.channels === 3) };
}

function wordsOf(opinion, image, likeliest) {
  const words = [];
  if (opinion.untrained) words.push("This model has not learned from any case of this study yet.");
  if (!opinion.rows) words.push("It has no map of where it looked for this case.");
  else words.push(`The coloured places spoke most for ${likeliest}; a map of a few squares, no outline.`);
  const veil = room.viewer.veil;
  if (veil && image.header.slices > 1) {
    const numbers = [...new Set(veil.slices)].map((n) => n + 1);
    words.push(`It sees slice ${numbers.join(", ")} of ${image.header.slices}, and the map lies on ${numbers.length === 1 ? "it" : "them"}.`);
  }
  return words.join(" ");
}

function percent(share) {
  return `${Math.round(100 * share)} %`;
}

const second = room.second = {
  on: false, place: null, told: null, before: null, chosen: new Set(), unsent: null,

  get allowed() {
    return Boolean(room.study && room.study.show_ai === "after");
  },

  async open() {
    if (room.busy || second.on || !second.allowed) return;
    const place = room.last;
    if (!place || place.study !== room.study.identity || (room.offer && room.offer.cycle !== undefined && place.cycle !== room.offer.cycle)) {
      say("There is no answer of yours to look back at.");
      return;
    }
    hold(true);
    const { offer } = room;
    try {
      const told = await post("/api/opinion", place);
      if (!told.opinion) {
        say("The model has no opinion of that case.");
        return;
      }
      const image = await room.shelf.show(place);
      if (room.offer === offer) enter(place, told, image);
    } catch (error) {
      await trouble(error);
    } finally {
      hold(false);
    }
  },

  // Back to the case that waits; the first answer stays whatever was said here.
  close(words = "", kind = "") {
    if (!second.on) return;
    const { view, image, screen, seconds } = second.before;
    second.drop();
    if (image) {
      renewed();
      put(image);
      Object.assign(room.viewer, screen, { stale: true });
      room.viewer.draw();
      room.shelf.show(image.place).catch(() => {});
      room.shelf.fill(image);
    } else {
      room.image = null;
      room.viewer.clear();
    }
    room.clock.start(seconds);
    look(view);
    byId("canvas").focus({ preventScroll: true });
    if (words) say(words, kind);
    document.dispatchEvent(new Event("second-closed"));
  },

  // Another case comes to the screen.
  drop() {
    second.on = false;
    second.before = second.told = second.unsent = null;
    room.viewer.veil = null;
    delete document.body.dataset.second;
  },

  pick(index) {
    if (index >= room.study.classes.length) return;
    if (!room.study.multi_label) {
      second.chosen = new Set([index]);
      second.decide();
      return;
    }
    if (!second.chosen.delete(index)) second.chosen.add(index);
    mark();
  },

  // Keep what was said, or send what is chosen now.
  decide() {
    const value = room.study.classes.map((_, i) => (second.chosen.has(i) ? 1 : 0));
    const { answer, value: said } = stands();
    if (answer === "answered" && said.join() === value.join()) second.close("Your answer stays.");
    else change("answered", value);
  },

  veil() {
    if (!room.viewer.veil) return;
    room.viewer.veil.shown = !room.viewer.veil.shown;
    byId("second-veil").setAttribute("aria-pressed", String(room.viewer.veil.shown));
    room.viewer.draw();
  },

  // What a key does here; null where it is one of the viewer's, or none.
  act(event, number) {
    if (number && !event.shiftKey) return () => second.pick(number - 1);
    if (event.key === "Enter" && event.target.closest("button")) return null;
    const acts = {
      Escape: () => second.close("Your answer stays."), a: () => second.close("Your answer stays."),
      Enter: () => (room.study.multi_label ? second.decide() : second.close("Your answer stays.")),
      u: () => change("unsure", []), h: () => second.veil(),
    };
    return acts[event.key.length === 1 ? event.key.toLowerCase() : event.key] || null;
  },
};

function stands() {
  return second.told.changed || second.told.own;
}

function enter(place, told, image) {
  const { viewer } = room;
  const { number, centre, width, named, zoom, x, y, inverted } = viewer;
  second.before = {
    view: room.view, image: room.image, seconds: room.clock.seconds,
    screen: room.image ? { number, centre, width, named, zoom, x, y, inverted } : {},
  };
  Object.assign(second, { on: true, place, told, unsent: null });
  document.body.dataset.second = "on";
  look("desk");
  put(image);
  viewer.veil = veilOf(told.opinion, image.header);
  viewer.draw();
  room.shelf.fill(image);
  room.clock.start();
  panel(image);
  byId("second").focus({ preventScroll: true });
}

function panel(image) {
  const { opinion } = second.told;
  const { classes, multi_label: many } = room.study;
  const said = stands();
  second.chosen = new Set(said.value.flatMap((one, i) => (one ? [i] : [])));
  byId("second-why").textContent = opinion.why;
  byId("second-note").textContent = wordsOf(opinion, image, classes[opinion.likeliest].name);
  const own = said.answer === "answered" ? classes.filter((_, i) => said.value[i]).map((c) => c.name).join(", ") || "none of them" : said.answer === "unsure" ? "unsure" : "not readable";
  byId("second-own").textContent = `${second.told.changed ? "You changed your answer to" : "You said"}: ${own}`;
  byId("second-classes").replaceChildren(...classes.map((c, i) => row(c.name, opinion.probs[i], i)));
  byId("second-hint").textContent = many ? "Numbers choose, Enter saves. Your first answer is kept either way." : "A number changes your answer. Your first answer is kept either way.";
  byId("second-veil").hidden = !room.viewer.veil;
  byId("second-veil").setAttribute("aria-pressed", "true");
  byId("second-state").textContent = "";
  mark();
}

function row(name, share, index) {
  const item = element("li");
  const button = element("button");
  button.type = "button";
  const bar = element("span", "", "bar");
  const filled = element("span");
  filled.style.width = `${Math.round(1000 * share) / 10}%`;
  bar.append(filled);
  button.append(index < 9 ? element("kbd", String(index + 1)) : element("span"));
  button.append(element("span", name, "name"), element("span", percent(share), "share"), bar);
  button.setAttribute("aria-label", `${name}: the model says ${percent(share)}`);
  if (index < 9) button.setAttribute("aria-keyshortcuts", String(index + 1));
  button.addEventListener("click", () => { if (!room.busy) second.pick(index); });
  item.append(button);
  return item;
}

function mark() {
  [...byId("second-classes").children].forEach((item, i) => {
    item.firstChild.setAttribute("aria-pressed", String(second.chosen.has(i)));
  });
}

async function change(answer, value) {
  const words = JSON.stringify([answer, value]);
  if (!second.unsent || second.unsent.words !== words) second.unsent = { words, key: submissionKey() };
  hold(true);
  try {
    await post("/api/second-look", {
      ...second.place, submission: second.unsent.key, answer, value, seconds: room.clock.seconds,
    });
    second.close("Your changed answer is saved; the first one stays beside it.", "good");
  } catch (error) {
    if (error instanceof Refused && error.status === 401) await trouble(error);
    else byId("second-state").textContent = error instanceof Refused ? `Not kept: ${error.message}.` : "Not saved: the room does not answer. Please try again.";
  } finally {
    hold(false);
  }
}

for (const button of document.querySelectorAll("[data-look-back]")) button.addEventListener("click", () => second.open());
byId("second-keep").addEventListener("click", () => second.close("Your answer stays."));
byId("second-unsure").addEventListener("click", () => { if (!room.busy) change("unsure", []); });
byId("second-veil").addEventListener("click", () => second.veil());
