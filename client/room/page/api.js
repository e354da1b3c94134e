// What the page asks of the room. Nothing is ever asked of another origin.

export class Refused extends Error {
  constructor(status, sentence) {
    super(sentence);
    this.status = status;
  }
}

async function answer(request) {
  const response = await request;
  const told = await response.json().catch(() => ({ error: "the room did not answer properly" }));
  if (!response.ok) throw new Refused(response.status, told.error || "the room refused");
  return told;
}

export function get(path) {
  return answer(fetch(path, { credentials: "same-origin", cache: "no-store" }));
}

export function post(path, body = {}) {
  return answer(fetch(path, {
    method: "POST", credentials: "same-origin", cache: "no-store",
    headers: { "content-type": "application/json" }, body: JSON.stringify(body),
  }));
}

export function farewell(path, body = {}) {
  navigator.sendBeacon(path, new Blob([JSON.stringify(body)], { type: "application/json" }));
}

// A slice: its header, and its pixels as 16-bit numbers in the machine's own (little-endian) order.
export async function slice(place, number = null) {
  const query = new URLSearchParams({ study: place.study, cycle: place.cycle, position: place.position });
  if (number !== null) query.set("slice", number);
  if (place.practice) query.set("practice", "1");
  const response = await fetch(`/api/image?${query}`, { credentials: "same-origin", cache: "no-store" });
  if (!response.ok) {
    const told = await response.json().catch(() => ({}));
    throw new Refused(response.status, told.error || "the image did not come");
  }
  const buffer = await response.arrayBuffer();
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const Kind = header.signed ? Int16Array : Uint16Array;
  return { header, pixels: new Kind(buffer, 4 + length) };
}

// A key that makes an answer sent twice one answer.
export function submissionKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}
