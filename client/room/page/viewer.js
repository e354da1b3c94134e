// Canvas 2D: window and level on 16-bit data, zoom, pan, slices. No WebGL.

const LEVELS = 65536;
const STILL = 150; // ms after the last change of the window until it is drawn at its finest
const CT = [
  { name: "Soft tissue", centre: 40, width: 400 }, { name: "Lung", centre: -600, width: 1500 },
  { name: "Bone", centre: 400, width: 1800 }, { name: "Brain", centre: 40, width: 80 },
];

export class Viewer {
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.changed = changed; // told whenever something was drawn
    this.plane = document.createElement("canvas"); // the slice, one pixel each, windowed
    this.spare = document.createElement("canvas"); // the next case's, developed ahead
    this.table = new Uint32Array(LEVELS);
    this.image = null;
    this.next = null; // the image that `spare` shows
    this.veil = null; // a map over some slices: its canvas, which slices, and whether it is shown
    this.waiting = false;
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  set(image) {
    this.image = image;
    this.number = image.header.slice;
    this.presets = image.presets = image.presets || presetsOf(image);
    this.reset();
    if (this.next !== image) return;
    [this.plane, this.spare] = [this.spare, this.plane];
    this.next = null;
    this.frame = null;
    this.stale = false;
  }

  // Put an image through its first window before it is asked for.
  prepare(image) {
    if (this.next === image || image === this.image) return;
    image.presets = image.presets || presetsOf(image);
    const look = { ...image.presets[0], inverted: false };
    develop(image, image.header.slice, this.spare, this.tabulate(image.header, look));
    this.next = image;
  }

  clear() {
    this.image = null;
    this.draw();
  }

  reset() {
    this.zoom = 1;
    this.x = this.y = 0;
    this.inverted = false;
    this.preset(0);
  }

  preset(index) {
    const wanted = this.presets && this.presets[index];
    if (!wanted) return;
    this.centre = wanted.centre;
    this.width = wanted.width;
    this.named = wanted.name;
    this.stale = true;
    this.draw();
  }

  window(across, down) {
    if (!this.image) return;
    const step = Math.max(this.range / 512, 1e-6);
    this.width = Math.max(this.width + across * step, step);
    this.centre += down * step;
    this.named = "";
    this.stale = true;
    this.quick = true; // fine smoothing costs more than a frame's time
    clearTimeout(this.settling);
    this.settling = setTimeout(() => { this.quick = false; this.draw(); }, STILL);
    this.draw();
  }

  get range() {
    const full = this.presets[this.presets.length - 1];
    return full.width;
  }

  invert() {
    this.inverted = !this.inverted;
    this.stale = true;
    this.draw();
  }

  scale(factor, x = 0, y = 0) {
    const zoom = Math.min(Math.max(this.zoom * factor, 0.2), 40);
    const real = zoom / this.zoom;
    this.x = x - (x - this.x) * real; // what is under the pointer stays there
    this.y = y - (y - this.y) * real;
    this.zoom = zoom;
    this.draw();
  }

  move(x, y) {
    this.x += x;
    this.y += y;
    this.draw();
  }

  show(number) {
    this.number = number;
    this.stale = true;
    this.draw();
  }

  draw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.paint();
    });
  }

  paint() {
    const { canvas, context } = this;
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * ratio);
    const height = Math.round(canvas.clientHeight * ratio);
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, width, height);
    if (this.image) {
      if (this.stale) this.develop();
      const { header } = this.image;
      const tall = header.spacing[1] && header.spacing[2] ? header.spacing[1] / header.spacing[2] : 1;
      const fit = Math.min(width / header.width, height / (header.height * tall)) * this.zoom;
      context.imageSmoothingEnabled = fit < 12;
      context.imageSmoothingQuality = this.quick ? "low" : "high";
      const wide = header.width * fit;
      const high = header.height * tall * fit;
      context.drawImage(
        this.plane, (width - wide) / 2 + this.x * ratio, (height - high) / 2 + this.y * ratio, wide, high,
      );
      if (this.veil && this.veil.shown && this.veil.slices.includes(this.number)) {
        context.imageSmoothingEnabled = true;
        context.drawImage(
          this.veil.canvas, (width - wide) / 2 + this.x * ratio, (height - high) / 2 + this.y * ratio, wide, high,
        );
      }
    }
    this.changed();
  }

  // The slice through the window, into `plane`.
  develop() {
    if (!this.image.slices.has(this.number)) return; // it is on its way
    const look = { centre: this.centre, width: this.width, inverted: this.inverted };
    this.frame = develop(this.image, this.number, this.plane, this.tabulate(this.image.header, look), this.frame);
    this.stale = false;
  }

  // What every stored value looks like: opaque grey, as little-endian RGBA.
  tabulate(header, { centre, width, inverted }) {
    const { table } = this;
    const flip = header.inverted !== inverted;
    const scale = 255 / width;
    const start = (header.intercept - (centre - width / 2)) * scale + 0.5;
    const step = header.slope * scale;
    for (let i = 0; i < LEVELS; i += 1) {
      const part = (header.signed && i > 32767 ? i - LEVELS : i) * step + start;
      let grey = part > 255 ? 255 : part < 0 ? 0 : part | 0;
      if (flip) grey = 255 - grey;
      table[i] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
    }
    return table;
  }

  get readout() {
    if (!this.image) return "";
    const { header } = this.image;
    const lines = [];
    if (header.slices > 1) lines.push(`slice ${this.number + 1} of ${header.slices}`);
    const unit = header.unit ? ` ${header.unit}` : "";
    const flip = this.inverted ? ", inverted" : "";
    lines.push(`window ${Math.round(this.width)}  level ${Math.round(this.centre)}${unit}${flip}`);
    lines.push(`${header.width} x ${header.height}  zoom ${this.zoom.toFixed(1)}`);
    return lines.join("\n");
  }
}

// A slice through a table, onto a canvas of its size; the pixels that were put there, to be used again.
function develop({ header, slices }, number, canvas, table, before = null) {
  const pixels = slices.get(number);
  const { width, height, channels } = header;
  let frame = before;
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
    frame = null;
  }
  const context = canvas.getContext("2d");
  if (!frame || frame.width !== width || frame.height !== height) frame = context.createImageData(width, height);
  if (channels === 1) {
    const out = new Uint32Array(frame.data.buffer);
    for (let i = 0; i < out.length; i += 1) out[i] = table[pixels[i] & 0xffff];
  } else {
    const out = frame.data;
    for (let i = 0, j = 0; i < out.length; i += 4, j += 3) {
      out[i] = table[pixels[j]] & 0xff;
      out[i + 1] = table[pixels[j + 1]] & 0xff;
      out[i + 2] = table[pixels[j + 2]] & 0xff;
      out[i + 3] = 255;
    }
  }
  context.putImageData(frame, 0, 0);
  return frame;
}

const capital = (words) => words[0].toUpperCase() + words.slice(1);

// The source's windows, then what this very image holds: its bulk, and all of it.
function presetsOf({ header, slices }) {
  const pixels = slices.get(header.slice);
  const shown = (stored) => stored * header.slope + header.intercept;
  const found = header.windows.map((w) => ({ ...w, name: capital(w.name || "Standard") }));
  if (header.channels === 3) return [{ name: "Colour", centre: 127.5, width: 255 }];
  const step = Math.max(1, Math.floor(pixels.length / 40_000));
  const sample = new pixels.constructor(Math.floor(pixels.length / step));
  for (let i = 0; i < sample.length; i += 1) sample[i] = pixels[i * step];
  sample.sort();
  const at = (share) => shown(sample[Math.floor(share * (sample.length - 1))]);
  const same = (a) => found.some((b) => b.centre === a.centre && b.width === a.width);
  if (header.unit === "HU") found.push(...CT.filter((window) => !same(window)));
  const between = (name, a, b) => ({ name, centre: (a + b) / 2, width: Math.max(Math.abs(b - a), 1) });
  return [...found, between("This image", at(0.01), at(0.99)), between("Full", at(0), at(1))];
}
