// Practice before the first real case: what is right is told after each answer. None of it counts.

import { Refused, post } from "/page/api.js";
import { bring, following } from "/page/desk.js";
import { byId, hold, look, room, say, trouble } from "/page/room.js";

Object.assign(room, {
  practice: null, // position, of, ahead, and what was told of the case on the screen

  async practise(answer, value) {
    if (room.practice.told) return;
    hold(true);
    say("");
    try {
      const { position } = room.practice;
      tell(await post("/api/practice", { study: room.study.identity, position, answer, value }));
    } catch (error) {
      await trouble(error);
      if (error instanceof Refused && error.status === 409) await following().catch(trouble);
    } finally {
      hold(false);
      if (room.practice && room.practice.told) room.labels.lock(true);
      byId("practice-next").disabled = false;
    }
  },

  async practised() {
    if (room.busy || !room.practice || !room.practice.told) return;
    hold(true);
    try {
      await following();
    } catch (error) {
      await trouble(error);
    } finally {
      hold(false);
    }
  },
});

// Whether it is practice that comes next; then its case is on the screen.
export async function practising(offer) {
  const before = room.practice;
  room.practice = offer.practice ? { ...offer.practice, told: null } : null;
  byId("practice").hidden = !room.practice;
  document.body.toggleAttribute("data-practice", Boolean(room.practice));
  if (!room.practice) {
    if (before) say(offer.case ? "Practice is over: from here on it counts." : "Practice is over.", "good");
    return false;
  }
  const { position, of, ahead } = room.practice;
  byId("practice-banner").textContent = `Practice: case ${position + 1} of ${of}. Nothing of it counts.`;
  byId("practice-told").hidden = true;
  say("");
  look("desk");
  room.labels.lock(false);
  room.labels.begin(false, []);
  await bring(offer, placeOf(position), ahead.map(placeOf));
  return true;
}

function tell(told) {
  room.practice.told = told;
  const right = room.labels.said(told.answer);
  byId("practice-right").textContent = told.right ? `Right: ${right}.` : `It is: ${right}.`;
  byId("practice-right").className = told.right ? "good" : "bad";
  byId("practice-yours").textContent = `You said: ${room.labels.said({ reason: "", ...told.yours })}.`;
  byId("practice-words").textContent = told.words;
  byId("practice-told").hidden = false;
}

function placeOf(position) {
  return { study: room.study.identity, cycle: 0, position, practice: true };
}

byId("practice-next").addEventListener("click", () => room.practised());
