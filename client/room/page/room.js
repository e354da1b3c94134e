// What the page knows of this session, and the words that it shows.

import { Refused } from "/page/api.js";
import { Clock } from "/page/clock.js";
import { Shelf } from "/page/shelf.js";

export const byId = (id) => document.getElementById(id);

// The viewer and the answers are put in by desk.js.
export const room = {
  view: "waiting", busy: false, me: null, study: null, offer: null, image: null, unsaved: null,
  last: null, // the place of the case answered last
  clock: new Clock(), shelf: new Shelf(), viewer: null, labels: null,

  // Whether the case on the screen has just come there.
  get fresh() {
    return "fresh" in document.body.dataset;
  },
};

export function look(view) {
  const before = room.view;
  room.view = view;
  document.body.dataset.view = view;
  if (view === "desk" && before !== "desk") byId("canvas").focus({ preventScroll: true });
  if (view === "door") byId(byId("name").value ? "password" : "name").focus();
}

const SETTLES = 200; // ms after a case's first paint until it can be answered
let settling = 0;

// Another case comes to the screen: what is pressed just now was meant for the one before.
export function renewed() {
  clearTimeout(settling);
  settling = 0;
  document.body.dataset.fresh = "";
}

export function settle() {
  if (room.fresh && !settling) settling = setTimeout(() => { delete document.body.dataset.fresh; }, SETTLES);
}

export function say(words, kind = "") {
  byId("state").textContent = words;
  byId("state").className = kind;
}

export function hold(busy) {
  room.busy = busy;
  room.labels.lock(busy);
}

export async function trouble(error) {
  if (error instanceof Refused && error.status === 401) {
    byId("door-words").textContent = room.unsaved ? "Please sign in again: your last answer waits to be saved." : "";
    look("door");
    return;
  }
  say(error instanceof Refused ? `${error.message}.` : "The room does not answer just now.", "bad");
}
