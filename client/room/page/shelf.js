// Images that were fetched: the one on the screen, those likely next, and the slices of a stack.

import { slice } from "/page/api.js";

const KEPT = 8; // cases
const STACK = 160 * 2 ** 20; // bytes of one case's slices

const keyOf = (place) => `${place.study} ${place.practice ? "practice" : place.cycle} ${place.position}`;

export class Shelf {
  constructor() {
    this.cases = new Map();
    this.current = "";
  }

  // The case's image, fetched now or before. A failed fetch is forgotten, so that it can be repeated.
  fetch(place) {
    const key = keyOf(place);
    if (!this.cases.has(key)) {
      const coming = slice(place).then(({ header, pixels }) => ({
        place, header, slices: new Map([[header.slice, pixels]]),
      }));
      coming.catch(() => this.cases.delete(key));
      this.cases.set(key, coming);
      for (const old of this.cases.keys()) {
        if (this.cases.size <= KEPT) break;
        if (old !== this.current && old !== key) this.cases.delete(old);
      }
    }
    return this.cases.get(key);
  }

  show(place) {
    this.current = keyOf(place);
    return this.fetch(place);
  }

  ahead(places) {
    for (const place of places) this.fetch(place).catch(() => {}); // a colleague was quicker
  }

  forget() {
    this.cases.clear();
  }

  async slice(image, number) {
    if (!image.slices.has(number)) {
      const { pixels } = await slice(image.place, number);
      image.slices.set(number, pixels);
    }
    return image.slices.get(number);
  }

  // Fetch the rest of a stack, from the middle outwards, while its case is on the screen.
  async fill(image) {
    const { slices: count, slice: middle, width, height } = image.header;
    for (let step = 1; step <= count; step += 1) {
      for (const number of [middle + step, middle - step]) {
        if (this.current !== keyOf(image.place)) return;
        if ((image.slices.size + 1) * width * height * 2 > STACK) return;
        if (number < 0 || number >= count) continue;
        try {
          await this.slice(image, number);
        } catch {
          return; // it is fetched again when it is wanted
        }
      }
    }
  }
}
