// What this reader has done today and this week: for their own eyes, compared with nobody's.

import { byId } from "/page/room.js";

function hours(seconds) {
  const minutes = Math.round(seconds / 60);
  if (minutes < 1) return seconds > 0 ? "under a minute" : "0 min";
  if (minutes < 60) return `${minutes} min`;
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")} h`;
}

const readings = (count) => (count === 1 ? "1 reading" : `${count} readings`);

export function workload({ today, week }) {
  const words = `${readings(today.readings)}, ${hours(today.seconds)} today`;
  const longer = `This week: ${readings(week.readings)}, ${hours(week.seconds)}.`;
  byId("today").textContent = words;
  byId("today").title = longer;
  const labels = today.readings === 1 ? "1 label" : `${today.readings} labels`;
  byId("empty-today").textContent = `${labels} came from you today.`;
  byId("empty-work").textContent = `Today: ${readings(today.readings)}, ${hours(today.seconds)}. ${longer} Nobody else is shown this.`;
}
