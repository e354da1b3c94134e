// Active seconds on a case: hidden pages count nothing, and of a pause half a minute at most.

const PAUSE = 30_000;

export class Clock {
  constructor(now = () => performance.now()) {
    this.now = now;
    this.spent = 0;
    this.last = now();
    this.seen = this.last; // when anybody did anything
    this.hidden = false;
  }

  // A case comes to the screen, for the first time or with what was spent on it before.
  start(seconds = 0) {
    this.spent = 1000 * seconds;
    this.last = this.now();
  }

  // Somebody did something.
  touch() {
    this.settle();
    this.seen = this.last;
  }

  hide(hidden) {
    this.settle();
    this.hidden = hidden;
  }

  get seconds() {
    this.settle();
    return Math.round(this.spent / 100) / 10;
  }

  // Milliseconds since anybody did anything.
  get idle() {
    return this.now() - this.seen;
  }

  settle() {
    const now = this.now();
    const until = Math.min(now, this.seen + PAUSE);
    if (!this.hidden) this.spent += Math.max(0, until - this.last);
    this.last = now;
  }
}
