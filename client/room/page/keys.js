// Everything by keyboard, and the mouse on the image.

const byId = (id) => document.getElementById(id);

function numberOf(event) {
  const found = /^(?:Digit|Numpad)([1-9])$/.exec(event.code); // the key, whatever the layout prints
  return found ? Number(found[1]) : 0;
}

const PAN = 40; // pixels
const TURN = 12; // steps of window and level

export function listen(room) {
  const { viewer, labels } = room;
  const answering = {
    u: () => labels.doubt(), x: () => labels.ask(), z: () => room.undo(),
    f: () => labels.moreTrust(), c: () => byId("comment").focus(), a: () => room.second.open(),
  };
  const looking = {
    i: () => room.invert(), r: () => viewer.reset(),
    j: () => room.step(1), k: () => room.step(-1), PageDown: () => room.step(1), PageUp: () => room.step(-1),
    "+": () => viewer.scale(1.25), "=": () => viewer.scale(1.25), "-": () => viewer.scale(0.8),
    ArrowLeft: () => viewer.move(-PAN, 0), ArrowRight: () => viewer.move(PAN, 0),
    ArrowUp: () => viewer.move(0, -PAN), ArrowDown: () => viewer.move(0, PAN),
  };
  const shifted = {
    ArrowLeft: () => viewer.window(-TURN, 0), ArrowRight: () => viewer.window(TURN, 0),
    ArrowUp: () => viewer.window(0, -TURN), ArrowDown: () => viewer.window(0, TURN),
  };

  function inDialog(event) {
    if (byId("why").open && numberOf(event) && !event.repeat) {
      labels.explain(numberOf(event) - 1);
      event.preventDefault();
    }
    return byId("why").open || byId("help").open;
  }

  function onCase(event) {
    const number = numberOf(event);
    const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const found = event.shiftKey && shifted[event.key] ? shifted[event.key] : looking[name];
    if (event.repeat) return number ? null : found; // held down it answers one case, not the next too
    const again = room.second.on ? room.second.act(event, number) : null;
    if (again) return again;
    if (number && event.shiftKey) return () => viewer.preset(number - 1);
    const told = room.practice && room.practice.told;
    if (told && event.key === "Enter") return () => room.practised();
    if (found || room.second.on || told) return found;
    if (number) return () => labels.pick(number - 1);
    if (event.key === "Enter" && labels.many && !event.target.closest("button")) return () => labels.save();
    return answering[name];
  }

  document.addEventListener("keydown", (event) => {
    room.clock.touch();
    if (event.ctrlKey || event.metaKey || event.altKey || inDialog(event)) return;
    if (event.target.closest("textarea, input, select")) {
      if (event.key === "Escape") byId("canvas").focus();
      return;
    }
    let act = null;
    if (room.view === "desk") act = event.key === "?" ? () => byId("help").showModal() : onCase(event);
    else if (room.view === "empty" && !event.repeat) act = { z: () => room.undo(), a: () => room.second.open() }[event.key];
    if (!act || room.busy) return;
    event.preventDefault();
    act();
  });
  mouse(room);
}

function mouse(room) {
  const { viewer } = room;
  const canvas = viewer.canvas;
  let dragged = null;
  canvas.addEventListener("pointerdown", (event) => {
    room.clock.touch();
    dragged = { moves: event.button !== 0 || event.shiftKey, x: event.clientX, y: event.clientY };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    room.clock.touch();
    if (!dragged) return;
    const x = event.clientX - dragged.x;
    const y = event.clientY - dragged.y;
    Object.assign(dragged, { x: event.clientX, y: event.clientY });
    if (dragged.moves) viewer.move(x, y);
    else viewer.window(x, y);
  });
  const drop = () => { dragged = null; };
  canvas.addEventListener("pointerup", drop);
  canvas.addEventListener("pointercancel", drop);
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("dblclick", () => viewer.reset());
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    room.clock.touch();
    if (room.image && room.image.header.slices > 1 && !event.ctrlKey) {
      room.step(Math.sign(event.deltaY));
      return;
    }
    const place = canvas.getBoundingClientRect();
    const x = event.clientX - place.left - place.width / 2;
    const y = event.clientY - place.top - place.height / 2;
    viewer.scale(event.deltaY < 0 ? 1.1 : 1 / 1.1, x, y);
  }, { passive: false });
}
