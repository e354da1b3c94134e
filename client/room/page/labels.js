// The answers beside the image: classes, doubts, confidence, what colleagues said.

const byId = (id) => document.getElementById(id);

export function element(tag, words = "", name = "") {
  const made = document.createElement(tag);
  if (words) made.textContent = words;
  if (name) made.className = name;
  return made;
}

function choice(number, name, definition, chosen) {
  const item = element("li");
  const button = element("button");
  button.type = "button";
  if (number <= 9) {
    button.append(element("kbd", String(number)));
    button.setAttribute("aria-keyshortcuts", String(number));
  } else {
    button.append(element("span"));
  }
  button.append(element("span", name, "name"));
  if (definition) button.append(element("span", definition, "definition"));
  button.addEventListener("click", chosen);
  item.append(button);
  return item;
}

export class Labels {
  // `send` gets answer, value, reason; `early` says whether the case has just come to the screen.
  constructor(send, early) {
    this.send = send;
    this.early = early;
    this.chosen = new Set();
    this.confidence = null;
    const steps = [1, 2, 3, 4, 5].map((step) => {
      const button = element("button", String(step));
      button.type = "button";
      button.setAttribute("aria-pressed", "false");
      button.setAttribute("aria-label", `Confidence ${step} of 5`);
      button.addEventListener("click", () => this.trust(this.confidence === step ? null : step));
      return button;
    });
    byId("confidence").append(...steps);
    byId("unsure").addEventListener("click", () => this.doubt());
    byId("unreadable").addEventListener("click", () => this.ask());
    byId("save").addEventListener("click", () => this.save());
  }

  study(study, reasons) {
    this.classes = study.classes;
    this.many = study.multi_label;
    this.options = study.classes.map((c, i) => choice(i + 1, c.name, c.definition, () => this.pick(i)));
    byId("classes").replaceChildren(...this.options);
    byId("save-row").hidden = byId("help-enter").hidden = !this.many;
    byId("help-number").textContent = this.many ? "choose a class, or not" : "answer with that class, and go on";
    this.reasons = reasons;
    byId("reasons").replaceChildren(...reasons.map((words, i) => choice(i + 1, words, "", () => this.explain(i))));
  }

  // A new case: nothing is chosen.
  begin(adjudicating, readings) {
    this.chosen.clear();
    this.trust(null);
    byId("comment").value = "";
    this.mark();
    const words = this.many ? "Which of these does it show?" : "Which of these is it?";
    byId("question").textContent = adjudicating ? "Colleagues disagree. What is it?" : words;
    byId("colleagues").replaceChildren(...readings.map((reading) => this.colleague(reading)));
  }

  colleague(reading) {
    const card = element("article");
    card.append(element("p", `A colleague said: ${this.said(reading)}`, "said"));
    const more = [reading.confidence ? `confidence ${reading.confidence} of 5` : "", reading.comment];
    card.append(element("p", more.filter(Boolean).join("; "), "note"));
    return card;
  }

  said(reading) {
    if (reading.answer === "unsure") return "unsure";
    if (reading.answer === "unreadable") return `not readable (${reading.reason})`;
    const names = this.classes.filter((_, i) => reading.value[i]).map((c) => c.name);
    return names.join(", ") || "none of them";
  }

  pick(index) {
    if (index >= this.classes.length || this.early()) return;
    if (!this.many) {
      this.chosen = new Set([index]);
      this.mark();
      this.save();
      return;
    }
    if (!this.chosen.delete(index)) this.chosen.add(index);
    this.mark();
  }

  mark() {
    this.options.forEach((option, i) => {
      option.firstChild.setAttribute("aria-pressed", String(this.chosen.has(i)));
    });
  }

  save() {
    if (this.early()) return;
    this.send("answered", this.classes.map((_, i) => (this.chosen.has(i) ? 1 : 0)));
  }

  doubt() {
    if (!this.early()) this.send("unsure");
  }

  trust(step) {
    this.confidence = step;
    [...byId("confidence").children].forEach((button, i) => {
      button.setAttribute("aria-pressed", String(i + 1 === step));
    });
  }

  moreTrust() {
    this.trust(this.confidence === 5 ? null : (this.confidence || 0) + 1);
  }

  ask() {
    byId("why").showModal();
  }

  explain(index) {
    if (index >= this.reasons.length) return;
    byId("why").close();
    this.send("unreadable", [], this.reasons[index]);
  }

  lock(locked) {
    for (const button of document.querySelectorAll("#answers button")) button.disabled = locked;
  }
}
